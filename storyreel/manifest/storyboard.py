"""A storyboard ready to plan: defaults applied, prompts composed, every reference resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from storyreel.manifest.document import Budget, Cut, Policy, Transition


@dataclass(frozen=True, slots=True)
class UrlImage:
    """A still at a public address, sent unchanged. `keyframe` is its name in the storyboard."""

    url: str
    keyframe: str | None = None

    @property
    def label(self) -> str:
        """Say where it is from, for people."""
        return f"keyframe {self.keyframe}" if self.keyframe else "url"


@dataclass(frozen=True, slots=True)
class FileImage:
    """A still beside the storyboard; `path` is relative to the storyboard's folder.

    `keyframe` is its name, if any.
    """

    path: str
    keyframe: str | None = None

    @property
    def label(self) -> str:
        """Say where it is from, for people."""
        return f"keyframe {self.keyframe}" if self.keyframe else f"file {self.path}"


@dataclass(frozen=True, slots=True)
class SceneImage:
    """A still from another scene's picked clip; `offset` frames (0 or negative) before its end,
    for `last`.
    """

    scene: str
    frame: Literal["first", "last"]
    offset: int = 0

    @property
    def still(self) -> str:
        """Return the name of the still's file: `first`, `last` or `last-3`."""
        return f"{self.frame}{self.offset or ''}"

    @property
    def label(self) -> str:
        """Return what messages and requests call the still."""
        back = f" {self.offset}" if self.offset else ""
        return f"{self.frame} frame of {self.scene}{back}"

    @property
    def keyframe(self) -> None:
        """Return None: a frame of a scene has no name in the storyboard."""
        return None


Image = UrlImage | FileImage | SceneImage


@dataclass(frozen=True, slots=True)
class Video:
    """A reference video: a scene's clip or a public address, exactly one of the two."""

    scene: str | None
    url: str | None
    refer_type: Literal["feature", "base"]
    keep_sound: bool

    @property
    def label(self) -> str:
        """Say where it is from, for people."""
        return f"clip of {self.scene}" if self.scene else "url"


@dataclass(frozen=True, slots=True)
class Remix:
    """The source of a remix: a scene here, or a finished video of the account."""

    scene: str | None
    video_id: str | None

    @property
    def label(self) -> str:
        """Say where it is from, for people."""
        return f"video of {self.scene}" if self.scene else f"video {self.video_id}"


@dataclass(frozen=True, slots=True)
class Scene:
    """One complete scene. `prompt` is as sent. A remix has its source's model, length, size and
    mode. `extras` are further fields that its model takes, sent unchanged. `fallback` holds the
    (model, mode) to try after a failure, in this order.
    """

    id: str
    index: int
    title: str | None
    prompt: str
    fallback_prompt: str | None
    caption: str | None
    model: str
    seconds: int
    size: str
    mode: str | None
    first_frame: Image | None
    end_frame: Image | None
    references: tuple[Image, ...]
    video: Video | None
    remix: Remix | None
    fit: Literal["refuse", "crop", "pad"]
    takes: int
    pick: int | None
    transition: Transition | None
    extras: Mapping[str, Any] = field(default_factory=dict)
    fallback: tuple[tuple[str, str | None], ...] = ()

    @property
    def has_fallback(self) -> bool:
        """Is there another way to make it, by other words or another model?"""
        return bool(self.fallback or self.fallback_prompt)

    @property
    def ways(self) -> tuple[Scene, ...]:
        """Return the ways to make the scene in their order: as it is, then each fallback."""
        others = (replace(self, model=m, mode=mode, fallback=()) for m, mode in self.fallback)
        return (self, *others)

    @property
    def images(self) -> list[tuple[str, Image]]:
        """Return (role, image) of every picture that the scene sends, in the order of the
        request.
        """
        named = [("first_frame", self.first_frame), ("end_frame", self.end_frame)]
        numbered = [(f"reference_images.{i + 1}", image) for i, image in enumerate(self.references)]
        return [(role, image) for role, image in [*named, *numbered] if image is not None]

    @property
    def upstream(self) -> tuple[str, ...]:
        """Return the ids of the scenes that it is made from, each once."""
        scenes = [image.scene for _, image in self.images if isinstance(image, SceneImage)]
        if self.video and self.video.scene:
            scenes.append(self.video.scene)
        if self.remix and self.remix.scene:
            scenes.append(self.remix.scene)
        return tuple(dict.fromkeys(scenes))


@dataclass(frozen=True)
class Storyboard:
    """A storyboard without errors. Relative paths start at `folder`. `music_seen` is the size
    and time of the music's file when it was read.
    """

    id: str
    title: str
    path: Path
    scenes: tuple[Scene, ...]
    budget: Budget | None
    policy: Policy
    cut: Cut
    music_seen: tuple[int, int] | None = None

    @property
    def folder(self) -> Path:
        """Return the folder at which relative paths start."""
        return self.path.parent

    def scene(self, scene_id: str) -> Scene:
        """Return the scene of that id. Raise `KeyError` without one."""
        return self.by_id[scene_id]

    @property
    def music(self) -> Path | None:
        """Return the file of the music, None without any."""
        return self.folder / self.cut.music.file if self.cut.music else None

    @cached_property
    def by_id(self) -> dict[str, Scene]:
        """Map the scenes by id, in file order."""
        return {scene.id: scene for scene in self.scenes}

    def ordered(self) -> list[Scene]:
        """Return the scenes, each after all that it is made from; otherwise in file order."""
        done: dict[str, Scene] = {}
        for scene in self.scenes:
            stack = [scene]
            while stack:
                top = stack[-1]
                missing = [self.by_id[u] for u in top.upstream if u not in done]
                if missing:
                    stack.extend(missing)
                else:
                    done.setdefault(stack.pop().id, top)
        return list(done.values())
