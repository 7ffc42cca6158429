"""Document -> scenes: apply defaults, compose prompts, follow references. Needs no file and no
network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storyreel.catalog.load import Catalog
from storyreel.manifest import prompt as prompts
from storyreel.manifest.document import Document, VideoIdRef
from storyreel.manifest.draft import Draft, Drafts
from storyreel.manifest.faults import nearest
from storyreel.manifest.places import Source, YamlPath
from storyreel.manifest.references import References
from storyreel.manifest.storyboard import Remix, Scene
from storyreel.manifest.texts import Texts

_NOT_FOR_REMIX = (
    "model",
    "seconds",
    "size",
    "mode",
    "first_frame",
    "end_frame",
    "reference_images",
    "reference_video",
    "fit",
    "extras",
    "fallback",
)


class Resolver:
    """Makes the scenes of a document. Notes each fault at its place in `source`."""

    def __init__(
        self,
        source: Source,
        document: Document,
        broken: set[YamlPath],
        catalog: Catalog,
        variables: Mapping[str, str],
    ) -> None:
        self.source = source
        self.document = document
        self.catalog = catalog
        self.drafts = Drafts(source, document, broken)
        self.texts = Texts(self.drafts, variables)
        self.references = References(self.drafts, self.texts)
        self.scenes: dict[str, Scene] = {}

    def run(self) -> list[Scene]:
        """Return every scene that could be made, in file order."""
        self.texts.check()
        self.references.check_circles()
        for draft in self.drafts.all:
            self._scene(draft)
        self.texts.check_unused()
        self.references.check_unused()
        return sorted(self.scenes.values(), key=lambda scene: scene.index)

    def _scene(self, draft: Draft) -> None:
        """Make the scene. Before it, make the scenes that it is a remix of."""
        line = [draft]
        while (
            isinstance(ref := line[-1].entry.remix_of, str)
            and ref in self.drafts.by_id
            and ref not in self.scenes
        ):
            above = self.drafts.by_id[ref]
            if above in line:
                return  # a circle: noted already
            line.append(above)
        for next_draft in reversed(line):
            ref = next_draft.entry.remix_of
            base = self.scenes.get(ref) if isinstance(ref, str) else None
            if next_draft.id not in self.scenes:
                scene = self._create(next_draft) if ref is None else self._remix(next_draft, base)
                if scene:
                    self.scenes[next_draft.id] = scene

    def _create(self, draft: Draft) -> Scene:
        references = self.references
        name = self.drafts.value(draft, "model") or ""
        model = self.catalog.models.get(name)
        if model is None:
            self._unknown_model(draft, name)
            # any model: the scene's other faults are reported, too
            model = next(iter(self.catalog.models.values()))
        mode = self.drafts.value(draft, "mode")
        if not model.modes and "mode" not in draft.own:
            mode = None
        return self._build(
            draft,
            model=name,
            seconds=self.drafts.value(draft, "seconds") or model.defaults.seconds,
            size=self.drafts.value(draft, "size") or model.defaults.size,
            mode=mode or model.defaults.mode,
            first_frame=references.frame(draft, "first_frame"),
            end_frame=references.frame(draft, "end_frame"),
            references=references.images(draft),
            video=references.video(draft),
            remix=None,
            fit=self.drafts.value(draft, "fit") or "refuse",
            extras=self.drafts.value(draft, "extras") or {},
            fallback=self._fallback(draft, name, mode),
        )

    def _fallback(
        self, draft: Draft, model: str, mode: str | None
    ) -> tuple[tuple[str, str | None], ...]:
        """Return (model, mode) of each fallback; note those whose model is unknown."""
        found = []
        for i, entry in enumerate(self.drafts.value(draft, "fallback") or []):
            name = entry.model or model
            known = self.catalog.models.get(name)
            if known is None:
                if entry.model:
                    self._unknown((*draft.path("fallback"), i, "model"), name)
                continue
            inherited = mode if mode in known.modes else known.defaults.mode
            found.append((name, entry.mode or inherited))
        return tuple(found)

    def _remix(self, draft: Draft, base: Scene | None) -> Scene | None:
        for name in _NOT_FOR_REMIX:
            if name in draft.own:
                self.source.error(
                    self.source.at(("scenes", draft.index, name), key=True),
                    f"a remix takes no `{name}`; it inherits model, seconds and size from "
                    "its source",
                    f"delete `{name}`",
                )
        ref = draft.entry.remix_of
        if isinstance(ref, VideoIdRef):
            name = self.document.defaults.model or next(iter(self.catalog.models))
            model = self.catalog.models.get(name) or next(iter(self.catalog.models.values()))
            remix, defaults = Remix(None, ref.video_id), model.defaults
            inherited: dict[str, Any] = {
                "model": name,
                "seconds": defaults.seconds,
                "size": defaults.size,
                "mode": defaults.mode,
            }
        else:
            if ref not in self.drafts.by_id:
                self.drafts.unknown_scene(("scenes", draft.index, "remix_of"), str(ref))
                return None
            if base is None:
                return None
            remix = Remix(ref, None)
            inherited = {
                "model": base.model,
                "seconds": base.seconds,
                "size": base.size,
                "mode": base.mode,
            }
        return self._build(
            draft,
            **inherited,
            first_frame=None,
            end_frame=None,
            references=(),
            video=None,
            remix=remix,
            fit="refuse",
        )

    def _build(self, draft: Draft, **fields: Any) -> Scene:
        entry, style = draft.entry, self.document.style
        prefix, suffix = (
            ("", "")
            if self.drafts.value(draft, "style") == "none"
            else (style.prefix, style.suffix)
        )

        def composed(text: str) -> str:
            return self.texts.replace(prompts.compose(prefix, text, suffix))

        caption = self.drafts.value(draft, "caption")
        return Scene(
            id=draft.id,
            index=draft.index,
            title=self.drafts.value(draft, "title"),
            prompt=composed(entry.prompt or ""),
            fallback_prompt=composed(entry.fallback_prompt) if entry.fallback_prompt else None,
            caption=self.texts.replace(caption) if caption else None,
            takes=self.drafts.value(draft, "takes") or 1,
            pick=self.drafts.value(draft, "pick"),
            transition=self.drafts.value(draft, "transition"),
            **fields,
        )

    def _unknown_model(self, draft: Draft, name: str) -> None:
        if self.drafts.is_broken(draft, "model"):
            return
        models = ", ".join(self.catalog.models)
        if not name:
            self.drafts.error(
                ("scenes", draft.index),
                f"scene `{draft.id}` has no model",
                f"add `model:` here or under `defaults`: {models}",
            )
            return
        self._unknown(draft.path("model"), name)

    def _unknown(self, path: YamlPath, name: str) -> None:
        models = ", ".join(self.catalog.models)
        guess = nearest(name, self.catalog.models)
        hint = f"; did you mean `{guess}`?" if guess else ""
        fix = (
            f"write `{guess}`"
            if guess
            else f"known models: {models}; add one with a catalogue of your own"
        )
        self.drafts.error(path, f"unknown model `{name}`{hint}", fix)
