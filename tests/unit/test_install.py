"""What was installed works together, and what is pinned names no host."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_pin_is_exact_and_names_no_host() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) > 100
    assert all(re.match(r"^[A-Za-z0-9_.\-]+==[^ ]+( ;.*)?$", line) for line in lines)
    assert not [line for line in lines if "://" in line]
