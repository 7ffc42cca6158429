"""The author's pictures are sent as they were priced, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from storyreel.errors import UsageError
from storyreel.manifest.storyboard import FileImage
from storyreel.run import inputs
from tests.conftest import png

IMAGE = FileImage("dawn.png")


def test_a_picture_is_sent_with_the_bytes_that_its_key_was_made_of(tmp_path: Path) -> None:
    path, data = tmp_path / "dawn.png", png()
    path.write_bytes(data)
    priced = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert inputs._as_priced(path, IMAGE, priced) == data
    path.write_bytes(png(colour=(1, 2, 3)))
    with pytest.raises(
        UsageError, match=r"`dawn\.png` changed after this run began; nothing was sent"
    ) as changed:
        inputs._as_priced(path, IMAGE, priced)
    assert "run again" in (changed.value.fix or "")
    path.unlink()
    with pytest.raises(UsageError, match="can no longer be read"):
        inputs._as_priced(path, IMAGE, priced)
