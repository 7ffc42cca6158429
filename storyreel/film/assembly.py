"""From the takes of a storyboard to its film and contact sheet."""

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
    """Assemble `final.mp4`, `final.otio` and `contact-sheet.jpg` from these (scene id, take), in film order.

    Returns what `report.model.CutReport` says of the film. `tell` hears of the pictures encoded, and of how many.

    A take of None is a scene without a clip; `cut.missing` says what becomes of it. Where a scene was asked to begin on the
    picture on which the one before it ends, and does, that picture is shown once.

    Raises:
        UsageError: a scene is missing and the cut does not say what to do about it.
        MediaError: a clip cannot be read; the old film stays.
    """
    settings = storyboard.cut
    there = [(scene, row) for scene, row in shown if row is not None]
    missing = [scene for scene, row in shown if row is None]
    if not there or (missing and settings.missing == "refuse"):
        raise UsageError(
            f"scenes are missing: {', '.join(missing) or 'all'}",
            fix="run the storyboard first, name scenes with --only, or set `cut.missing` to skip or slate",
        )
    _check_here(workspace, there)
    names: list[str] = []
    pieces: list[Piece] = []
    seams: list[dict[str, Any]] = []
    above: tuple[str, Take] | None = None
    for scene_id, row in shown:
        scene = storyboard.scene(scene_id)
        into: Transition = (scene.transition or settings.transition) if pieces else "cut"
        if row is None:
            if settings.missing == "slate":
                names.append(scene_id)
                card = Piece(None, into=into, caption=scene.title or scene.id, seconds=scene.seconds)
                pieces.append(card)
                above = None
            continue
        path = workspace.root / row.here.path
        joined = False
        if above is not None:
            offset = _chained(storyboard, above[0], scene_id)
            linked = offset is not None or _share_still(storyboard, above[0], scene_id)
            seam = _seam(workspace, above[1], offset or 0, path)
            joined = into == "cut" and linked and seam is not None and seam.is_same
            if offset:  # the scene goes on from there, whether or not its first picture is that one again
                pieces[-1] = dataclasses.replace(pieces[-1], leave_out_last=-offset)
            if seam is not None:
                told = {"above": above[0], "below": scene_id, "chained": linked, "doubled": joined}
                seams.append(told | seam.as_dict())
        names.append(scene_id)
        pieces.append(Piece(path, skip_first=joined, into=into, caption=scene.caption, name=f"scene {scene_id}"))
        above = (scene_id, row)
    style = _style(storyboard, _size([(row.here.width, row.here.height) for _, row in there]))
    before = look(storyboard.music) if storyboard.music else None
    film = assemble(pieces, workspace.film, style, shelf=workspace.pieces, tell=tell)
    notes = [*film.notes, *_exchanged(storyboard, before)]
    edit = timeline.describe(names, pieces, film, style, storyboard.title, workspace.root)
    write_whole(workspace.timeline, edit.encode())
    clips = [(f"{scene} · take {row.take}", workspace.root / row.here.path) for scene, row in there]
    shown_clips = [(label, path, workspace.strip(path)) for label, path in clips]
    write_whole(workspace.sheet, sheet.make(shown_clips, storyboard.title))
    return {
        "path": workspace.relative(workspace.film),
        "timeline": workspace.relative(workspace.timeline),
        "frames": film.frames,
        "duration_s": film.duration_s,
        "copied": film.copied,
        "scenes": [scene for scene, _ in there],
        "seams": seams,
        "notes": notes,
    }


def _check_here(workspace: Workspace, there: Sequence[tuple[str, Take]]) -> None:
    """Raises `MediaError` where a clip was taken away since it was looked for."""
    for scene, row in there:
        path = row.here.path
        if not (workspace.root / path).is_file():
            raise MediaError(
                f"the clip of scene `{scene}`, {path}, is not on disk",
                fix="run the storyboard: it is fetched again while its link lives",
            )


def animatic(
    storyboard: Storyboard, workspace: Workspace, *, tell: Callable[[int, int], None] = lambda done, total: None
) -> Film:
    """Assemble `animatic.mp4` from stills, captions and lengths: the film's rhythm, before anything is paid for.

    A scene shows the still on which it begins, where that is a file or a frame that is there already; else a card.

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
    """The still on which a scene begins, if it can be known before the scene is made."""
    image: Image | None = scene.first_frame or next(iter(scene.references), None)
    if isinstance(image, SceneImage):
        frames = sorted((workspace.root / "frames" / image.scene).glob(f"take-*-{image.still}.png"))
        if frames:
            return frames[-1]
        image = storyboard.scene(image.scene).end_frame if image.frame == "last" else None
    return storyboard.folder / image.path if isinstance(image, FileImage) else None


def _exchanged(storyboard: Storyboard, before: tuple[int, int] | None) -> list[str]:
    """What to say of a music file that is another one now than when the storyboard, or the film, was begun."""
    if storyboard.music is None:
        return []
    name = storyboard.music.name
    if look(storyboard.music) != before:
        return [
            f"music {name}: the file changed while the film was cut; make it again: storyreel cut {storyboard.path.name}"
        ]
    if storyboard.music_seen not in (None, before):
        return [f"music {name}: the file changed after the storyboard was read; the film has the new one"]
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
    """The offset (0 or negative) at which `scene` was asked to go on from `above`; None if it was not."""
    first = storyboard.scene(scene).first_frame
    if isinstance(first, SceneImage) and first.scene == above and first.frame == "last":
        return first.offset
    return None


def _share_still(storyboard: Storyboard, above: str, scene: str) -> bool:
    """Does one scene end on the still on which the other begins?"""
    end, first = storyboard.scene(above).end_frame, storyboard.scene(scene).first_frame
    return end is not None and end == first


def _seam(workspace: Workspace, above: Take, offset: int, below: Path) -> Seam | None:
    """How the picture from which a scene goes on compares with its first one; None where one cannot be had."""
    try:
        return measure(_last_picture(workspace, above, offset), first_picture(below))
    except (MediaError, OSError, ValueError, IndexError):  # OSError and ValueError: what PyAV raises
        return None


def _last_picture(workspace: Workspace, row: Take, offset: int) -> PIL.Image.Image:
    """The last picture of a take, or the one `offset` before it; as it was taken out of the clip, if it was."""
    name = f"last{offset}" if offset else "last"
    still = workspace.frame(row.scene, row.take, name)
    if still.exists():
        with PIL.Image.open(still) as picture:
            return picture.convert("RGB")
    return verify(workspace.root / row.here.path, tail=1 - offset).before_last(-offset)


def _size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The size most clips have; the first of equals. Made even, which pictures of 4:2:0 need."""
    width, height = max(sizes, key=sizes.count) if sizes else parse_size("1280x720")
    return max(2, width // 2 * 2), max(2, height // 2 * 2)
