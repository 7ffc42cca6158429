"""A storyboard ready to plan: defaults applied, prompts composed, every reference resolved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from storyreel.manifest.document import Budget, Cut, Policy, Transition


@dataclass(frozen=True, slots=True)
class UrlImage:
    """A still at a public address, sent unchanged."""

    url: str
    label: str


@dataclass(frozen=True, slots=True)
class FileImage:
    """A still beside the storyboard; `path` is relative to the storyboard's folder."""

    path: str
    label: str


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


Image = UrlImage | FileImage | SceneImage


@dataclass(frozen=True, slots=True)
class Video:
    """A reference video: a scene's clip or a public address, exactly one of the two."""

    scene: str | None
    url: str | None
    refer_type: Literal["feature", "base"]
    keep_sound: bool


@dataclass(frozen=True, slots=True)
class Remix:
    """The source of a remix: a scene here, or a finished video of the account."""

    scene: str | None
    video_id: str | None


@dataclass(frozen=True, slots=True)
class Scene:
    """One complete scene. `prompt` is as sent. A remix has its source's model, length, size and
    mode.
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
        found = [image.scene for _, image in self.images if isinstance(image, SceneImage)]
        if self.video and self.video.scene:
            found.append(self.video.scene)
        if self.remix and self.remix.scene:
            found.append(self.remix.scene)
        return tuple(dict.fromkeys(found))


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
