"""Document -> scenes: defaults applied, prompts composed, references followed. Faults that need no catalogue are found here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from storyreel.catalog.load import Catalog
from storyreel.manifest import prompt as prompts
from storyreel.manifest.document import Document, FrameRef, KeyframeRef, SceneEntry, VideoIdRef
from storyreel.manifest.faults import Severity, nearest
from storyreel.manifest.shape import HARMLESS_IMAGE
from storyreel.manifest.source import Path_, Source
from storyreel.manifest.storyboard import FileImage, Image, Remix, Scene, SceneImage, UrlImage, Video

_NOT_FOR_REMIX = (
    "model", "seconds", "size", "mode", "first_frame", "end_frame", "reference_images", "reference_video", "fit", "extras"
)  # fmt: skip


@dataclass(slots=True)
class Draft:
    """A scene on its way: what is known of it and where each field stands."""

    index: int
    entry: SceneEntry
    id: str
    own: set[str]

    def path(self, name: str) -> Path_:
        """Where the value of a field stands: in the scene, else in the defaults, else the scene itself."""
        return ("scenes", self.index, name) if name in self.own else ("defaults", name)


def _overlap(one: Path_, other: Path_) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


class Resolver:
    """Follows every reference of a document and notes each fault at its place in `source`."""

    def __init__(
        self, source: Source, document: Document, broken: set[Path_], catalog: Catalog, variables: Mapping[str, str]
    ) -> None:
        self.source = source
        self.document = document
        self.broken = broken
        self.catalog = catalog
        self.given = variables
        self.variables = {**{name: str(value) for name, value in document.vars.items()}, **variables}
        self.files: dict[str, Path_] = {}
        self.used_keyframes: set[str] = set()
        self.used_variables: set[str] = set()
        self.by_id: dict[str, Draft] = {}
        self.drafts = [self._draft(i, entry) for i, entry in enumerate(document.scenes or [])]
        self.ids = [draft.id for draft in self.drafts]
        self.scenes: dict[str, Scene] = {}

    def run(self) -> list[Scene]:
        """Every scene that could be made, in file order; a scene is left out where its model is not known."""
        for draft in self.drafts:
            self._texts(draft)
        edges = {d.id: [s for s, _ in self._references(d) if s in self.by_id] for d in self.drafts}
        self._cycles(edges)
        for draft in self.drafts:
            self._scene(draft)
        self._unused()
        return sorted(self.scenes.values(), key=lambda scene: scene.index)

    # ---- scenes

    def _draft(self, index: int, entry: SceneEntry) -> Draft:
        path: Path_ = ("scenes", index)
        if entry.id is None and (*path, "id") not in self.broken and path not in self.broken:
            self.source.error(self.source.at(path), "a scene has no `id`", "add `id:`, e.g. `id: opening`")
        name = entry.id or f"#{index + 1}"
        if name in self.by_id:
            line, _ = self.source.place(self.source.at(("scenes", self.by_id[name].index, "id")))
            self._error(
                (*path, "id"), f"scene id `{name}` is used twice (first in line {line})", "give this scene another id"
            )
            name = f"{name}#{index + 1}"  # so that its other faults are found too
        draft = Draft(index, entry, name, set(entry.model_fields_set))
        self.by_id[name] = draft
        return draft

    def value(self, draft: Draft, name: str) -> Any:
        """A field of the scene: its own, else the default."""
        if name in draft.own:
            return getattr(draft.entry, name)
        return getattr(self.document.defaults, name, None)

    def is_broken(self, draft: Draft, name: str) -> bool:
        """Was there a fault of shape in this field, so that nothing can be said of its value?"""
        spots: list[Path_] = [("scenes", draft.index, name)]
        if name not in draft.own:
            spots.append(("defaults", name))
        return any(_overlap(path, spot) for path in self.broken for spot in spots)

    def _scene(self, draft: Draft) -> None:
        """Make the scene, and before it the scenes it is a remix of."""
        line = [draft]
        while isinstance(ref := line[-1].entry.remix_of, str) and ref in self.by_id and ref not in self.scenes:
            above = self.by_id[ref]
            if above in line:
                return  # a circle, already told
            line.append(above)
        for one in reversed(line):
            ref = one.entry.remix_of
            base = self.scenes.get(ref) if isinstance(ref, str) else None
            if one.id not in self.scenes:
                scene = self._create(one) if ref is None else self._remix(one, base)
                if scene:
                    self.scenes[one.id] = scene

    def _create(self, draft: Draft) -> Scene | None:
        frames = {role: self._image(draft, role) for role in ("first_frame", "end_frame")}
        references = tuple(
            image
            for i, ref in enumerate(self.value(draft, "reference_images") or [])
            if (image := self._follow(draft, ref, (*draft.path("reference_images"), i)))
        )
        video = self._video(draft)
        name = self.value(draft, "model") or ""
        model = self.catalog.models.get(name)
        if model is None:
            self._unknown_model(draft, name)
            model = next(iter(self.catalog.models.values()))  # stands in, so that the scene's other faults are found
        mode = self.value(draft, "mode")
        if not model.modes and "mode" not in draft.own:
            mode = None
        return self._build(
            draft,
            model=name,
            seconds=self.value(draft, "seconds") or model.defaults.seconds,
            size=self.value(draft, "size") or model.defaults.size,
            mode=mode or model.defaults.mode,
            first_frame=frames["first_frame"],
            end_frame=frames["end_frame"],
            references=references,
            video=video,
            remix=None,
            fit=self.value(draft, "fit") or "refuse",
            extras=self.value(draft, "extras") or {},
        )

    def _remix(self, draft: Draft, base: Scene | None) -> Scene | None:
        for name in _NOT_FOR_REMIX:
            if name in draft.own:
                self.source.error(
                    self.source.at(("scenes", draft.index, name), key=True),
                    f"a remix takes no `{name}`; it inherits model, seconds and size from its source",
                    f"delete `{name}`",
                )
        ref = draft.entry.remix_of
        if isinstance(ref, VideoIdRef):
            name = self.document.defaults.model or next(iter(self.catalog.models))
            model = self.catalog.models.get(name) or next(iter(self.catalog.models.values()))
            remix, defaults = Remix(None, ref.video_id), model.defaults
            inherited: dict[str, Any] = {
                "model": name, "seconds": defaults.seconds, "size": defaults.size, "mode": defaults.mode
            }  # fmt: skip
        else:
            if ref not in self.by_id:
                self._unknown_scene(("scenes", draft.index, "remix_of"), str(ref))
                return None
            if base is None:
                return None
            remix = Remix(ref, None)
            inherited = {"model": base.model, "seconds": base.seconds, "size": base.size, "mode": base.mode}
        return self._build(
            draft, **inherited, first_frame=None, end_frame=None, references=(), video=None, remix=remix, fit="refuse"
        )

    def _build(self, draft: Draft, **fields: Any) -> Scene:
        entry, style = draft.entry, self.document.style
        prefix, suffix = ("", "") if self.value(draft, "style") == "none" else (style.prefix, style.suffix)

        def composed(text: str) -> str:
            return prompts.replace(prompts.compose(prefix, text, suffix), self.variables)

        caption = self.value(draft, "caption")
        return Scene(
            id=draft.id,
            index=draft.index,
            title=self.value(draft, "title"),
            prompt=composed(entry.prompt or ""),
            fallback_prompt=composed(entry.fallback_prompt) if entry.fallback_prompt else None,
            caption=prompts.replace(caption, self.variables) if caption else None,
            takes=self.value(draft, "takes") or 1,
            pick=self.value(draft, "pick"),
            transition=self.value(draft, "transition"),
            **fields,
        )

    # ---- references

    def _image(self, draft: Draft, role: str) -> Image | None:
        ref = self.value(draft, role)
        if ref is not None:
            return self._follow(draft, ref, draft.path(role))
        chained = role == "first_frame" and self.document.chain and "first_frame" not in draft.own and draft.index > 0
        video = self.value(draft, "reference_video")
        if chained and not self.is_broken(draft, role) and not (video and video.refer_type == "base"):
            return SceneImage(self.drafts[draft.index - 1].id, "last")
        return None

    def _follow(self, draft: Draft, ref: Any, path: Path_) -> Image | None:
        if isinstance(ref, FrameRef):
            return self._scene_image(draft, ref, path)
        if isinstance(ref, KeyframeRef):
            return self._keyframe(ref.keyframe, path)
        if ref == HARMLESS_IMAGE:
            return None
        if ref == "previous":
            if draft.index == 0:
                self._error(
                    path,
                    "`previous` in the first scene: there is no scene above it",
                    "name a keyframe, a file or a URL",
                )
                return None
            return SceneImage(self.drafts[draft.index - 1].id, "last")
        return self._place(str(ref), path)

    def _scene_image(self, draft: Draft, ref: FrameRef, path: Path_) -> Image | None:
        at = (*path, "scene")
        if ref.scene not in self.by_id:
            self._unknown_scene(at, ref.scene)
            return None
        if ref.offset_frames and ref.frame == "first":
            self._error((*path, "offset_frames"), "`offset_frames` goes with `frame: last`", "delete it")
        return SceneImage(ref.scene, ref.frame, ref.offset_frames)

    def _keyframe(self, name: str, path: Path_) -> Image | None:
        self.used_keyframes.add(name)
        place = self.document.keyframes.get(name)
        if place is not None:
            return self._place(place, ("keyframes", name), name)
        if ("keyframes", name) not in self.broken and ("keyframes",) not in self.broken:
            guess = nearest(name, self.document.keyframes)
            hint = f"; did you mean `{guess}`?" if guess else ""
            fix = f"write `{guess}`" if guess else f"add `{name}:` under `keyframes`"
            self._error((*path, "keyframe"), f"unknown keyframe `{name}`{hint}", fix)
        return None

    def _place(self, text: str, path: Path_, keyframe: str | None = None) -> Image | None:
        """An address or a path, as the author wrote it, with its variables replaced."""
        if "${" in text:
            self._variables(text, path)
            text = prompts.replace(text, self.variables)
        if text.startswith(("http://", "https://")):
            try:
                host = urlsplit(text).hostname
            except ValueError:
                host = None
            if not host or any(c.isspace() for c in text):
                self._error(path, f"`{text}` is not a complete URL", "write the whole address, without spaces")
                return None
            return UrlImage(text, keyframe)
        if "://" in text or text.startswith("data:"):
            scheme = text.partition(":")[0]
            self._error(path, f"`{scheme}:` is not supported for a picture", "use https://, or a file path")
            return None
        self.files.setdefault(text, path)
        return FileImage(text, keyframe)

    def _video(self, draft: Draft) -> Video | None:
        ref = self.value(draft, "reference_video")
        if ref is None:
            return None
        path = draft.path("reference_video")
        if any(p[: len(path)] == path for p in self.broken):
            return None
        if ref.scene is not None and ref.scene not in self.by_id:
            self._unknown_scene((*path, "scene"), ref.scene)
            return None
        return Video(ref.scene, ref.url, ref.refer_type, ref.keep_original_sound)

    def _references(self, draft: Draft) -> Iterator[tuple[str, Path_]]:
        """(scene id, place) of every scene this one is made from."""
        if draft.entry.remix_of is not None:
            if isinstance(draft.entry.remix_of, str):
                yield draft.entry.remix_of, ("scenes", draft.index, "remix_of")
            return
        for role in ("first_frame", "end_frame"):
            ref = self.value(draft, role)
            if isinstance(ref, FrameRef):
                yield ref.scene, (*draft.path(role), "scene")
            elif ref == "previous" and draft.index:
                yield self.drafts[draft.index - 1].id, draft.path(role)
        if self.document.chain and self.value(draft, "first_frame") is None and "first_frame" not in draft.own:
            video = self.value(draft, "reference_video")
            if draft.index and not (video and video.refer_type == "base"):
                yield self.drafts[draft.index - 1].id, ("scenes", draft.index)
        for i, ref in enumerate(self.value(draft, "reference_images") or []):
            if isinstance(ref, FrameRef):
                yield ref.scene, (*draft.path("reference_images"), i, "scene")
            elif ref == "previous" and draft.index:
                yield self.drafts[draft.index - 1].id, (*draft.path("reference_images"), i)
        video = self.value(draft, "reference_video")
        if video and video.scene:
            yield video.scene, (*draft.path("reference_video"), "scene")

    def _cycles(self, edges: dict[str, list[str]]) -> None:
        state: dict[str, int] = {}
        for start in edges:
            trail: list[tuple[str, Iterator[str]]] = [(start, iter(edges[start]))] if start not in state else []
            while trail:
                node, children = trail[-1]
                state[node] = 1
                for child in children:
                    if state.get(child) == 1:
                        names = [n for n, _ in trail]
                        self._cycle([*names[names.index(child) :], child])
                    elif child not in state:
                        trail.append((child, iter(edges.get(child, []))))
                        break
                else:
                    state[node] = 2
                    trail.pop()

    def _cycle(self, names: list[str]) -> None:
        draft = self.by_id[names[0]]
        place = next(p for s, p in self._references(draft) if s == names[1])
        if len(names) == 2:
            self._error(place, f"scene `{names[0]}` is made from itself", "name another scene")
            return
        chain = " needs ".join(names)
        self._error(place, f"scenes are made from each other in a circle: {chain}", "cut the circle with a keyframe")

    # ---- texts

    def _texts(self, draft: Draft) -> None:
        entry, path = draft.entry, ("scenes", draft.index)
        if entry.prompt is None and (*path, "prompt") not in self.broken and path not in self.broken:
            self._error(path, f"scene `{draft.id}` has no `prompt`", "add `prompt:` with what to show")
        elif entry.prompt is not None and not entry.prompt.strip():
            self._error((*path, "prompt"), "`prompt` is empty", "say what to show, in 1 to 2500 characters")
        for name in ("prompt", "caption", "fallback_prompt"):
            text = getattr(entry, name)
            if text:
                self._variables(text, (*path, name))
        if draft.index == 0:
            for path_, text in (
                (("style", "prefix"), self.document.style.prefix),
                (("style", "suffix"), self.document.style.suffix),
                (("title",), self.document.title or ""),
                (("defaults", "caption"), self.document.defaults.caption or ""),
            ):
                self._variables(text, path_)

    def _variables(self, text: str, path: Path_) -> None:
        self.used_variables |= prompts.used(text)
        for bad in prompts.bad_variables(text, self.variables):
            if bad.name is not None and (("vars", bad.name) in self.broken or ("vars",) in self.broken):
                continue
            at = self.source.within(path, bad.text, bad.occurrence)
            if bad.name is None:
                self.source.error(at, "`${` is never closed", "write `${name}`, or `$${` for the characters themselves")
                continue
            guess = nearest(bad.name, self.variables)
            hint = f"; did you mean `${{{guess}}}`?" if guess else ""
            fix = f"write `${{{guess}}}`" if guess else f"add `{bad.name}:` under `vars`, or pass --var {bad.name}=…"
            self.source.error(at, f"unknown variable `{bad.text}`{hint}", fix)

    def _unused(self) -> None:
        for name in self.given:
            if name not in self.document.vars and name not in self.used_variables:
                guess = nearest(name, {*self.document.vars, *self.used_variables})
                hint = f"; did you mean `{guess}`?" if guess else ""
                known = ", ".join(self.document.vars) or "none"
                self._error(
                    ("vars",), f"--var {name}: the storyboard has no such variable{hint}", f"its variables: {known}"
                )
        for kind, names, used in (
            ("keyframe", self.document.keyframes, self.used_keyframes),
            ("variable", self.document.vars, self.used_variables),
        ):
            section = "keyframes" if kind == "keyframe" else "vars"
            for name in names:
                if name not in used:
                    at = self.source.at((section, name), key=True)
                    self.source.error(at, f"{kind} `{name}` is never used", "use it or delete it", Severity.WARNING)

    # ---- words

    def _error(self, path: Path_, message: str, fix: str) -> None:
        self.source.error(self.source.at(path), message, fix)

    def _unknown_scene(self, path: Path_, name: str) -> None:
        guess = nearest(name, self.ids)
        hint = f"; did you mean `{guess}`?" if guess else ""
        known = ", ".join(self.ids[:12]) + (" …" if len(self.ids) > 12 else "")
        self._error(path, f"unknown scene `{name}`{hint}", f"write `{guess}`" if guess else f"scenes here: {known}")

    def _unknown_model(self, draft: Draft, name: str) -> None:
        if self.is_broken(draft, "model"):
            return
        known = ", ".join(self.catalog.models)
        if not name:
            self._error(
                ("scenes", draft.index),
                f"scene `{draft.id}` has no model",
                f"add `model:` here or under `defaults`: {known}",
            )
            return
        guess = nearest(name, self.catalog.models)
        hint = f"; did you mean `{guess}`?" if guess else ""
        fix = f"write `{guess}`" if guess else f"known models: {known}; add one with a catalogue of your own"
        self._error(draft.path("model"), f"unknown model `{name}`{hint}", fix)
