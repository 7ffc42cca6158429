"""An error, as a person is told it."""

from __future__ import annotations

import sys

from storyreel.errors import StoryreelError


def complain(who: str, error: StoryreelError) -> None:
    """Print what happened, then its Fix, on stderr."""
    print(f"{who}: {error.message}", file=sys.stderr)
    if error.fix:
        print(f"  Fix: {error.fix}", file=sys.stderr)
