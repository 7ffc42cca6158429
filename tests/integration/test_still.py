"""What is told of a picture is the picture's own."""

from __future__ import annotations

import warnings
from pathlib import Path, PosixPath

import pytest

from storyreel.film.media import still
from tests.conftest import png


class Littered(PosixPath):
    """A path at whose use something is thrown away unclosed, as a library's connection may be at
    any moment.
    """

    def __fspath__(self) -> str:
        warnings.warn("unclosed <socket>", ResourceWarning, stacklevel=1)
        return str(self)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_others_leave_unclosed_is_no_fault_of_the_picture(tmp_path: Path) -> None:
    path = Littered(tmp_path / "dawn.png")
    Path(str(path)).write_bytes(png(64, 48, (1, 2, 3)))
    assert still.inspect(path, 10_000)[:3] == ("png", 64, 48)
