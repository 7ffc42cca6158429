"""How a process of ours is started from another: with what that one found, and without the key."""

from __future__ import annotations

import os
import sys


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs this module of ours; `-P`: not what the user's folder has of the same name."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment without the key; the child imports from where we do, installed or not."""
    kept = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
