"""Files that are put in their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storyreel.workspace.folder import move_whole


def test_a_clip_is_on_disk_before_it_is_in_its_place_and_its_place_is_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, path = tmp_path / ".clip.part", tmp_path / "clip.mp4"
    part.write_bytes(b"clip")
    names = {part.stat().st_ino: "clip", tmp_path.stat().st_ino: "folder"}
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append((names[os.fstat(fd).st_ino], path.exists()))
    )
    move_whole(part, path)
    assert synced == [("clip", False), ("folder", True)]
