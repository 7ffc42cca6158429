"""Takes of a storyboard -> its film, timeline and contact sheet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import PIL.Image

from storyreel.catalog.load import parse_size
from storyreel.errors import MediaError, UsageError
from storyreel.film.media import sheet, timeline
from storyreel.film.media.clip import verify
from storyreel.film.media.cut import Film, Piece, Style, Transition, assemble
from storyreel.film.media.seam import Seam, first_picture, measure
from storyreel.ledger.rows import Take
from storyreel.manifest.load import look
from storyreel.manifest.storyboard import FileImage, Image, Scene, SceneImage, Storyboard
from storyreel.workspace.folder import Workspace, write_whole


def cut(
    storyboard: Storyboard,
    workspace: Workspace,
    shown: Sequence[tuple[str, Take | None]],
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write `final.mp4`, `final.otio` and `contact-sheet.jpg` from these (scene id, take), in film
    order.

    Return the fields of `report.model.CutReport`. `tell` receives (pictures encoded, pictures in
    total).

    A take of None is a scene without a clip; `cut.missing` decides what the film shows. If a scene
    was sent the last picture of the scene above, and begins with it, the film shows it once.

    Raises:
        UsageError: a scene is missing and the cut does not say what to do about it.
        MediaError: a clip cannot be read; the old film stays.
    """
    clips = [(scene, take) for scene, take in shown if take is not None]
    missing = [scene for scene, take in shown if take is None]
    if not clips or (missing and storyboard.cut.missing == "refuse"):
        raise _incomplete(missing)
    _check_on_disk(workspace, clips)
    edit = Edit(storyboard, workspace)
    for scene_id, take in shown:
        if take is not None:
            edit.add_clip(scene_id, take)
        elif storyboard.cut.missing == "slate":
            edit.add_slate(scene_id)
    sizes = [(take.here.width, take.here.height) for _, take in clips]
    style = _style(storyboard, _size(sizes))
    before = look(storyboard.music) if storyboard.music else None
    film = assemble(edit.pieces, workspace.film, style, shelf=workspace.pieces, tell=tell)
    notes = [*film.notes, *_replaced_music(storyboard, before)]
    otio = timeline.describe(edit.names, edit.pieces, film, style, storyboard.title, workspace.root)
    write_whole(workspace.timeline, otio.encode())
    _write_sheet(storyboard, workspace, clips)
    return {
        "path": workspace.relative(workspace.film),
        "timeline": workspace.relative(workspace.timeline),
        "frames": film.frames,
        "duration_s": film.duration_s,
        "copied": film.copied,
        "scenes": [scene for scene, _ in clips],
        "seams": edit.seams,
        "notes": notes,
    }


class Edit:
    """The film's pieces in order, with the seam between each two clips."""

    def __init__(self, storyboard: Storyboard, workspace: Workspace) -> None:
        self.storyboard = storyboard
        self.workspace = workspace
        self.names: list[str] = []
        self.pieces: list[Piece] = []
        self.seams: list[dict[str, Any]] = []
        self._above: tuple[str, Take] | None = None

    def add_slate(self, scene_id: str) -> None:
        """Append a card in place of the scene's clip."""
        scene = self.storyboard.scene(scene_id)
        caption = scene.title or scene.id
        self._append(
            scene_id, Piece(None, into=self._into(scene), caption=caption, seconds=scene.seconds)
        )
        self._above = None

    def add_clip(self, scene_id: str, take: Take) -> None:
        """Append the take's clip. Leave out its first picture if the clip above ends with it."""
        scene = self.storyboard.scene(scene_id)
        path = self.workspace.root / take.here.path
        into = self._into(scene)
        is_doubled = self._measure_seam(scene_id, path, is_cut=into == "cut")
        piece = Piece(
            path, skip_first=is_doubled, into=into, caption=scene.caption, name=f"scene {scene_id}"
        )
        self._append(scene_id, piece)
        self._above = (scene_id, take)

    def _measure_seam(self, scene_id: str, path: Path, *, is_cut: bool) -> bool:
        """Record the seam to the clip above. Return whether both clips show the same picture
        there.
        """
        if self._above is None:
            return False
        above, take = self._above
        offset = _chained(self.storyboard, above, scene_id)
        linked = offset is not None or _share_still(self.storyboard, above, scene_id)
        seam = _seam(self.workspace, take, offset or 0, path)
        is_doubled = is_cut and linked and seam is not None and seam.is_same
        if offset:  # the scene goes on from there, whether or not it begins with that picture
            self.pieces[-1] = dataclasses.replace(self.pieces[-1], leave_out_last=-offset)
        if seam is not None:
            ends = {"above": above, "below": scene_id, "chained": linked, "doubled": is_doubled}
            self.seams.append(ends | seam.as_dict())
        return is_doubled

    def _into(self, scene: Scene) -> Transition:
        return (scene.transition or self.storyboard.cut.transition) if self.pieces else "cut"

    def _append(self, scene_id: str, piece: Piece) -> None:
        self.names.append(scene_id)
        self.pieces.append(piece)


def _write_sheet(
    storyboard: Storyboard, workspace: Workspace, clips: Sequence[tuple[str, Take]]
) -> None:
    paths = [
        (f"{scene} · take {take.take}", workspace.root / take.here.path) for scene, take in clips
    ]
    labelled = [(label, path, workspace.strip(path)) for label, path in paths]
    write_whole(workspace.sheet, sheet.make(labelled, storyboard.title))


def _incomplete(missing: Sequence[str]) -> UsageError:
    return UsageError(
        f"scenes are missing: {', '.join(missing) or 'all'}",
        fix="run the storyboard first, name scenes with --only, or set `cut.missing` to skip "
        "or slate",
    )


def _check_on_disk(workspace: Workspace, clips: Sequence[tuple[str, Take]]) -> None:
    """Raise `MediaError` if a clip was removed meanwhile."""
    for scene, take in clips:
        path = take.here.path
        if not (workspace.root / path).is_file():
            raise MediaError(
                f"the clip of scene `{scene}`, {path}, is not on disk",
                fix="run the storyboard: it is fetched again while its link lives",
            )


def animatic(
    storyboard: Storyboard,
    workspace: Workspace,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Film:
    """Write `animatic.mp4` from stills, captions and lengths: the film's rhythm before anything is
    paid.

    A scene shows its first still if that is a file or a frame on disk, else a card.

    Raises:
        MediaError: a still cannot be read.
    """
    pieces = [
        Piece(
            None,
            into=(scene.transition or storyboard.cut.transition) if i else "cut",
            caption=scene.caption or f"{scene.id}: {scene.prompt}",
            still=_opening(storyboard, workspace, scene),
            seconds=scene.seconds,
        )
        for i, scene in enumerate(storyboard.scenes)
    ]
    size = _size([parse_size(scene.size) for scene in storyboard.scenes])
    workspace.prepare()
    return assemble(pieces, workspace.animatic, _style(storyboard, size), tell=tell)


def _opening(storyboard: Storyboard, workspace: Workspace, scene: Scene) -> Path | None:
    """Return the still on which a scene begins; None if it does not exist before the scene."""
    image: Image | None = scene.first_frame or next(iter(scene.references), None)
    if isinstance(image, SceneImage):
        frames = sorted((workspace.root / "frames" / image.scene).glob(f"take-*-{image.still}.png"))
        if frames:
            return frames[-1]
        image = storyboard.scene(image.scene).end_frame if image.frame == "last" else None
    return storyboard.folder / image.path if isinstance(image, FileImage) else None


def _replaced_music(storyboard: Storyboard, before: tuple[int, int] | None) -> list[str]:
    """Return a note if the music file changed after the storyboard was read, or during the cut."""
    if storyboard.music is None:
        return []
    name = storyboard.music.name
    if look(storyboard.music) != before:
        return [
            f"music {name}: the file changed while the film was cut; make it again: "
            f"storyreel cut {storyboard.path.name}"
        ]
    if storyboard.music_seen not in (None, before):
        return [
            f"music {name}: the file changed after the storyboard was read; the film has "
            "the new one"
        ]
    return []


def _style(storyboard: Storyboard, size: tuple[int, int]) -> Style:
    settings = storyboard.cut
    return Style(
        size=size,
        transition_s=settings.transition_s,
        music=storyboard.music,
        music_gain_db=settings.music.gain_db if settings.music else 0.0,
        subtitles=settings.subtitles,
    )


def _chained(storyboard: Storyboard, above: str, scene: str) -> int | None:
    """Return the offset (0 or negative) in `above` from which `scene` starts; None if it does
    not.
    """
    first = storyboard.scene(scene).first_frame
    if isinstance(first, SceneImage) and first.scene == above and first.frame == "last":
        return first.offset
    return None


def _share_still(storyboard: Storyboard, above: str, scene: str) -> bool:
    """Does one scene end on the still on which the other begins?"""
    end, first = storyboard.scene(above).end_frame, storyboard.scene(scene).first_frame
    return end is not None and end == first


def _seam(workspace: Workspace, above: Take, offset: int, below: Path) -> Seam | None:
    """Compare the picture sent to a scene with the scene's first one; None if one cannot be
    read.
    """
    try:
        return measure(_last_picture(workspace, above, offset), first_picture(below))
    except (
        MediaError,
        OSError,
        ValueError,
        IndexError,
    ):  # OSError and ValueError: what PyAV raises
        return None


def _last_picture(workspace: Workspace, take: Take, offset: int) -> PIL.Image.Image:
    """Return the last picture of a take, or the one `offset` before it; from its still if there
    is one.
    """
    name = f"last{offset}" if offset else "last"
    still = workspace.frame(take.scene, take.take, name)
    if still.exists():
        with PIL.Image.open(still) as picture:
            return picture.convert("RGB")
    return verify(workspace.root / take.here.path, tail=1 - offset).before_last(-offset)


def _size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the size that most clips have, the first of equals. Round down to even sides for
    4:2:0.
    """
    width, height = max(sizes, key=sizes.count) if sizes else parse_size("1280x720")
    return max(2, width // 2 * 2), max(2, height // 2 * 2)
