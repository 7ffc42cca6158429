"""From takes to film: what is left out at a seam, how long a slate is, and what is said of files
that changed.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import av
import pytest

from storyreel import manifest
from storyreel.catalog import load as catalog
from storyreel.film import assembly
from storyreel.film.media.clip import to_rgb
from storyreel.ledger.rows import State, Take
from storyreel.manifest.storyboard import Storyboard
from storyreel.run import finishing
from storyreel.workspace.folder import Workspace
from tests.clips import clip
from tests.zoo import Odd, ffmpeg, make, number_of

BOARD = """version: 1
defaults: {{model: {model}}}
cut: {{transition_s: 0.25, {cut}}}
scenes:
  - {{id: one, prompt: a}}
  - {{id: two, prompt: b, first_frame: {{scene: one, frame: last, offset_frames: -10}}, transition: {into}}}
  - {{id: three, prompt: c}}
"""


def board(tmp_path: Path, into: str = "cut", cut: str = "") -> Storyboard:
    (tmp_path / "b.yaml").write_text(
        BOARD.format(model="kling-v2-5-turbo", into=into, cut=cut), "utf-8"
    )
    return manifest.load(tmp_path / "b.yaml", catalog.load())


def take(workspace: Workspace, scene: str, odd: Odd) -> Take:
    path = workspace.root / "clips" / scene / "take-1.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    make(odd, path)
    facts = clip(f"clips/{scene}/take-1.mp4", width=odd.size[0], height=odd.size[1], sha256=scene)
    return Take(
        id=1, storyboard="b", scene=scene, take=1, key="k", ordinal=1, state=State.COLLECTED, superseded=False, account="a",
        run_id="r", request={}, inputs={}, price=Decimal(0), currency=None, submissions=1, created_at=0, submitted_at=0,
        completed_at=0, collected_at=0, expires_at=None, polls=0, job_id="j", error_class=None, error_code=None,
        error_message=None, clip=facts,
    )  # fmt: skip


@pytest.mark.parametrize("rate", [24, 30])
@pytest.mark.parametrize("into", ["cut", "dissolve", "fade"])
def test_an_offset_leaves_its_pictures_out_whatever_the_seam(
    tmp_path: Path, into: str, rate: int
) -> None:
    """The next clip begins on another picture than the one it was asked to begin on, as
    models do.
    """
    workspace = Workspace(tmp_path / "ws")
    one = take(workspace, "one", Odd(frames=2 * rate, fps=Fraction(rate)))
    two = take(workspace, "two", Odd(frames=24))
    made = assembly.cut(
        board(tmp_path, into, "missing: skip"),
        workspace,
        [("one", one), ("two", two), ("three", None)],
    )
    overlap = 6 if into == "dissolve" else 0
    assert made["frames"] == round((2 * rate - 10) * 24 / rate) + 24 - overlap
    with av.open(workspace.film) as container:
        numbers = [number_of(to_rgb(frame)) for frame in container.decode(video=0)]
    if into == "cut":
        assert max(numbers[:-24]) == 2 * rate - 11 and numbers[-24:] == list(range(24))


def test_a_slate_lasts_as_long_as_its_scene_will(tmp_path: Path) -> None:
    workspace, storyboard = Workspace(tmp_path / "ws"), board(tmp_path, cut="missing: slate")
    rows = [
        ("one", take(workspace, "one", Odd())),
        ("two", None),
        ("three", take(workspace, "three", Odd())),
    ]
    assert (
        assembly.cut(storyboard, workspace, rows)["frames"]
        == 48 + storyboard.scene("two").seconds * 24
    )  # type: ignore[arg-type]


def test_a_clip_of_which_a_part_is_lost_does_not_take_film_timeline_or_sheet_away(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path / "ws")
    rows = [
        (name, take(workspace, name, Odd(frames=48, options={"g": "8"})))
        for name in ("one", "two", "three")
    ]
    path = workspace.root / "clips" / "two" / "take-1.mp4"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(bytes(data))
    made = assembly.cut(board(tmp_path), workspace, rows)  # type: ignore[arg-type]
    assert made["frames"] > 110 and any("scene two" in note for note in made["notes"])
    assert workspace.sheet.exists() and json.loads(workspace.timeline.read_text())


def test_music_that_was_exchanged_makes_another_film_and_is_said(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=4", tmp_path / "m.wav")
    workspace, storyboard = (
        Workspace(tmp_path / "ws"),
        board(tmp_path, cut="missing: skip, music: {file: m.wav}"),
    )
    rows = [("one", take(workspace, "one", Odd())), ("two", None), ("three", None)]
    key = finishing.key_of(storyboard, rows)  # type: ignore[arg-type]
    assert assembly.cut(storyboard, workspace, rows)["notes"] == []  # type: ignore[arg-type]
    ffmpeg("-f", "lavfi", "-i", "sine=f=300:d=4", tmp_path / "m.wav")
    os.utime(tmp_path / "m.wav", ns=(1, 1))
    assert finishing.key_of(storyboard, rows) != key  # type: ignore[arg-type]
    (note,) = assembly.cut(storyboard, workspace, rows)["notes"]  # type: ignore[arg-type]
    assert "m.wav" in note and "changed" in note


def test_music_exchanged_while_the_film_is_cut_is_said(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=4", tmp_path / "m.wav")
    workspace, storyboard = (
        Workspace(tmp_path / "ws"),
        board(tmp_path, cut="missing: skip, music: {file: m.wav}"),
    )
    rows = [
        ("one", take(workspace, "one", Odd(size=(640, 360), tagged=False))),
        ("two", None),
        ("three", None),
    ]

    def exchange(done: int, total: int) -> None:
        os.utime(tmp_path / "m.wav", ns=(1, 1))

    (note,) = assembly.cut(storyboard, workspace, rows, tell=exchange)["notes"]  # type: ignore[arg-type]
    assert "storyreel cut" in note
