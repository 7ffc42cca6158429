"""Lay links to every part of the package side by side in .typing/, so that mypy sees the package as
it is installed.

flows/ and tasks/ are packages inside `storyreel` that are kept at the top of the repository; mypy
does not follow the editable install that joins them.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".typing" / "storyreel"

PLACE.mkdir(parents=True, exist_ok=True)
parts = [*(ROOT / "storyreel").iterdir(), ROOT / "flows", ROOT / "tasks"]
wanted = {part.name: part for part in parts if part.name != "__pycache__"}
for link in PLACE.iterdir():
    if link.name not in wanted:
        link.unlink()
for name, part in wanted.items():
    link = PLACE / name
    if not link.is_symlink():
        link.symlink_to(part)
