"""Builders that the tests share."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from storyreel import manifest
from storyreel.catalog import load as catalog
from storyreel.manifest import Checked

TODAY = date(2026, 11, 22)
# Code that logs for a flow is tested without one; read when Prefect is first imported.
os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the key, the endpoint or the home of whoever runs it."""
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "STORYREEL_STORE",
        "STORYREEL_DATABASE_URL",
        "STORYREEL_CATALOG",
    ):
        monkeypatch.delenv(name, raising=False)


def png(
    width: int = 1280, height: int = 720, colour: tuple[int, int, int] = (200, 59, 39)
) -> bytes:
    """A picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Checked]:
    """Check a storyboard given as text; `files` are laid beside it."""

    def run(
        text: str | bytes,
        name: str = "board.yaml",
        files: dict[str, bytes] | None = None,
        **variables: str,
    ) -> Checked:
        for file, data in (files or {}).items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(data)
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return manifest.check(path, catalog.load(), variables, today=TODAY)

    return run
