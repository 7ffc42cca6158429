"""References of scenes to pictures, videos and other scenes. Scenes in a circle are a fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from storyreel.manifest.document import FrameRef, KeyframeRef
from storyreel.manifest.draft import Draft, Drafts
from storyreel.manifest.faults import Severity, nearest
from storyreel.manifest.places import YamlPath
from storyreel.manifest.shape import HARMLESS_IMAGE
from storyreel.manifest.storyboard import FileImage, Image, SceneImage, UrlImage, Video
from storyreel.manifest.texts import Texts


class References:
    """Follows every reference of the drafts. `files` maps each picture file to where it is
    named.
    """

    def __init__(self, drafts: Drafts, texts: Texts) -> None:
        self.drafts = drafts
        self.texts = texts
        self.document = drafts.document
        self.files: dict[str, YamlPath] = {}
        self.used_keyframes: set[str] = set()

    # ---- pictures

    def frame(self, draft: Draft, role: str) -> Image | None:
        """Return the picture of `first_frame` or `end_frame`; None without one."""
        ref = self.drafts.value(draft, role)
        if ref is not None:
            return self._follow(draft, ref, draft.path(role))
        chained = role == "first_frame" and self.drafts.is_chained(draft)
        if chained and not self.drafts.is_broken(draft, role):
            return SceneImage(self.drafts.above(draft), "last")
        return None

    def images(self, draft: Draft) -> tuple[Image, ...]:
        """Return the pictures of `reference_images`."""
        path = draft.path("reference_images")
        refs = enumerate(self.drafts.value(draft, "reference_images") or [])
        return tuple(image for i, ref in refs if (image := self._follow(draft, ref, (*path, i))))

    def _follow(self, draft: Draft, ref: Any, path: YamlPath) -> Image | None:
        if isinstance(ref, FrameRef):
            return self._scene_image(ref, path)
        if isinstance(ref, KeyframeRef):
            return self._keyframe(ref.keyframe, path)
        if ref == HARMLESS_IMAGE:
            return None
        if ref == "previous":
            if draft.index == 0:
                self.drafts.error(
                    path,
                    "`previous` in the first scene: there is no scene above it",
                    "name a keyframe, a file or a URL",
                )
                return None
            return SceneImage(self.drafts.above(draft), "last")
        return self._address(str(ref), path)

    def _scene_image(self, ref: FrameRef, path: YamlPath) -> Image | None:
        if ref.scene not in self.drafts.by_id:
            self.drafts.unknown_scene((*path, "scene"), ref.scene)
            return None
        if ref.offset_frames and ref.frame == "first":
            self.drafts.error(
                (*path, "offset_frames"), "`offset_frames` goes with `frame: last`", "delete it"
            )
        return SceneImage(ref.scene, ref.frame, ref.offset_frames)

    def _keyframe(self, name: str, path: YamlPath) -> Image | None:
        self.used_keyframes.add(name)
        address = self.document.keyframes.get(name)
        if address is not None:
            return self._address(address, ("keyframes", name), name)
        if self.drafts.broken.isdisjoint({("keyframes", name), ("keyframes",)}):
            guess = nearest(name, self.document.keyframes)
            hint = f"; did you mean `{guess}`?" if guess else ""
            fix = f"write `{guess}`" if guess else f"add `{name}:` under `keyframes`"
            self.drafts.error((*path, "keyframe"), f"unknown keyframe `{name}`{hint}", fix)
        return None

    def _address(self, text: str, path: YamlPath, keyframe: str | None = None) -> Image | None:
        """Return the picture at a URL or a path, with its variables replaced."""
        if "${" in text:
            self.texts.check_variables(text, path)
            text = self.texts.replace(text)
        if text.startswith(("http://", "https://")):
            if not _is_complete(text):
                self.drafts.error(
                    path,
                    f"`{text}` is not a complete URL",
                    "write the whole address, without spaces",
                )
                return None
            return UrlImage(text, keyframe)
        if "://" in text or text.startswith("data:"):
            scheme = text.partition(":")[0]
            self.drafts.error(
                path, f"`{scheme}:` is not supported for a picture", "use https://, or a file path"
            )
            return None
        self.files.setdefault(text, path)
        return FileImage(text, keyframe)

    def check_unused(self) -> None:
        """Warn of keyframes that no scene uses."""
        source = self.drafts.source
        for name in self.document.keyframes:
            if name not in self.used_keyframes:
                at = source.at(("keyframes", name), key=True)
                source.error(
                    at, f"keyframe `{name}` is never used", "use it or delete it", Severity.WARNING
                )

    # ---- videos

    def video(self, draft: Draft) -> Video | None:
        """Return the reference video; None without one."""
        ref = self.drafts.value(draft, "reference_video")
        path = draft.path("reference_video")
        if ref is None or any(p[: len(path)] == path for p in self.drafts.broken):
            return None
        if ref.scene is not None and ref.scene not in self.drafts.by_id:
            self.drafts.unknown_scene((*path, "scene"), ref.scene)
            return None
        return Video(ref.scene, ref.url, ref.refer_type, ref.keep_original_sound)

    # ---- scenes

    def upstream(self, draft: Draft) -> Iterator[tuple[str, YamlPath]]:
        """Yield (scene id, place) of every scene that this one is made from."""
        if draft.entry.remix_of is not None:
            if isinstance(draft.entry.remix_of, str):
                yield draft.entry.remix_of, ("scenes", draft.index, "remix_of")
            return
        for ref, path in self._image_refs(draft):
            if isinstance(ref, FrameRef):
                yield ref.scene, (*path, "scene")
            elif ref == "previous" and draft.index:
                yield self.drafts.above(draft), path
        if self.drafts.value(draft, "first_frame") is None and self.drafts.is_chained(draft):
            yield self.drafts.above(draft), ("scenes", draft.index)
        video = self.drafts.value(draft, "reference_video")
        if video and video.scene:
            yield video.scene, (*draft.path("reference_video"), "scene")

    def _image_refs(self, draft: Draft) -> Iterator[tuple[Any, YamlPath]]:
        for role in ("first_frame", "end_frame"):
            yield self.drafts.value(draft, role), draft.path(role)
        for i, ref in enumerate(self.drafts.value(draft, "reference_images") or []):
            yield ref, (*draft.path("reference_images"), i)

    def check_circles(self) -> None:
        """Note each circle of scenes that are made from each other."""
        drafts = self.drafts.by_id
        edges = {d.id: [s for s, _ in self.upstream(d) if s in drafts] for d in self.drafts.all}
        for circle in _circles(edges):
            draft = drafts[circle[0]]
            place = next(p for s, p in self.upstream(draft) if s == circle[1])
            if len(circle) == 2:
                self.drafts.error(
                    place, f"scene `{circle[0]}` is made from itself", "name another scene"
                )
                continue
            chain = " needs ".join(circle)
            self.drafts.error(
                place,
                f"scenes are made from each other in a circle: {chain}",
                "cut the circle with a keyframe",
            )


def _is_complete(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and not any(c.isspace() for c in url)


def _circles(edges: dict[str, list[str]]) -> Iterator[list[str]]:
    """Yield each circle as its nodes, the first one again at the end. Depth first, no recursion."""
    is_done: dict[str, bool] = {}
    for start in edges:
        trail: list[tuple[str, Iterator[str]]] = (
            [(start, iter(edges[start]))] if start not in is_done else []
        )
        while trail:
            node, children = trail[-1]
            is_done[node] = False
            for child in children:
                if is_done.get(child) is False:
                    names = [name for name, _ in trail]
                    yield [*names[names.index(child) :], child]
                elif child not in is_done:
                    trail.append((child, iter(edges.get(child, []))))
                    break
            else:
                is_done[node] = True
                trail.pop()
