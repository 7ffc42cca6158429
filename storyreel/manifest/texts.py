"""Texts of a document: prompts that are missing, and variables that are unknown or unused."""

from __future__ import annotations

from collections.abc import Mapping

from storyreel.manifest import prompt as prompts
from storyreel.manifest.draft import Draft, Drafts
from storyreel.manifest.faults import Severity, nearest
from storyreel.manifest.places import YamlPath


class Texts:
    """Checks and replaces `${name}` in every text. `given` are the variables of `--var`."""

    def __init__(self, drafts: Drafts, given: Mapping[str, str]) -> None:
        self.drafts = drafts
        self.source = drafts.source
        self.document = drafts.document
        self.given = given
        self.variables = {**{k: str(v) for k, v in drafts.document.vars.items()}, **given}
        self.used: set[str] = set()

    def check(self) -> None:
        """Note every fault in the texts of the document and its scenes."""
        document = self.document
        if self.drafts.all:
            self.check_variables(document.style.prefix, ("style", "prefix"))
            self.check_variables(document.style.suffix, ("style", "suffix"))
            self.check_variables(document.title or "", ("title",))
            self.check_variables(document.defaults.caption or "", ("defaults", "caption"))
        for draft in self.drafts.all:
            self._check_scene(draft)

    def _check_scene(self, draft: Draft) -> None:
        entry, broken = draft.entry, self.drafts.broken
        path: YamlPath = ("scenes", draft.index)
        if entry.prompt is None and (*path, "prompt") not in broken and path not in broken:
            self.drafts.error(
                path, f"scene `{draft.id}` has no `prompt`", "add `prompt:` with what to show"
            )
        elif entry.prompt is not None and not entry.prompt.strip():
            self.drafts.error(
                (*path, "prompt"), "`prompt` is empty", "say what to show, in 1 to 2500 characters"
            )
        for name in ("prompt", "caption", "fallback_prompt"):
            text = getattr(entry, name)
            if text:
                self.check_variables(text, (*path, name))

    def check_variables(self, text: str, path: YamlPath) -> None:
        """Note each `${…}` in the text at `path` that has no value, or is never closed."""
        self.used |= prompts.used(text)
        for bad in prompts.bad_variables(text, self.variables):
            if bad.name is not None and not self.drafts.broken.isdisjoint(
                {("vars", bad.name), ("vars",)}
            ):
                continue
            at = self.source.within(path, bad.text, bad.occurrence)
            if bad.name is None:
                self.source.error(
                    at,
                    "`${` is never closed",
                    "write `${name}`, or `$${` for the characters themselves",
                )
                continue
            guess = nearest(bad.name, self.variables)
            hint = f"; did you mean `${{{guess}}}`?" if guess else ""
            fix = (
                f"write `${{{guess}}}`"
                if guess
                else f"add `{bad.name}:` under `vars`, or pass --var {bad.name}=…"
            )
            self.source.error(at, f"unknown variable `{bad.text}`{hint}", fix)

    def replace(self, text: str) -> str:
        """Return the text with its variables replaced."""
        return prompts.replace(text, self.variables)

    def check_unused(self) -> None:
        """Note variables that `--var` names and the storyboard lacks; warn of unused ones."""
        for name in self.given:
            if name not in self.document.vars and name not in self.used:
                guess = nearest(name, {*self.document.vars, *self.used})
                hint = f"; did you mean `{guess}`?" if guess else ""
                names = ", ".join(self.document.vars) or "none"
                self.drafts.error(
                    ("vars",),
                    f"--var {name}: the storyboard has no such variable{hint}",
                    f"its variables: {names}",
                )
        for name in self.document.vars:
            if name not in self.used:
                at = self.source.at(("vars", name), key=True)
                self.source.error(
                    at, f"variable `{name}` is never used", "use it or delete it", Severity.WARNING
                )
