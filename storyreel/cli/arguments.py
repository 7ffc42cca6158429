"""Assign the words of a command line to FILE and the other arguments. Light: imported for every
command.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from storyreel.errors import UsageError

STORYBOARD = "storyboard.yaml"


def settle(args: argparse.Namespace, rest: Sequence[str] = ()) -> None:
    """Assign FILE, the word after FILE, and the words that argparse could not place (`rest`).

    FILE may follow the scenes of --only or --force, or be missing. A folder means its
    storyboard.yaml.

    Raises:
        UsageError: no storyboard is named and the current folder has none; or another word is
            missing.
    """
    if hasattr(args, "files") and args.command == "validate":
        args.files = [storyboard_file(name) for name in args.files or [None]]
    if not hasattr(args, "file"):
        return
    words = [args.file, *([getattr(args, args.last)] if hasattr(args, "last") else []), *rest]
    words = [word for word in words if word is not None]
    wanted = 2 if hasattr(args, "last") else 1
    while len(words) < wanted and (taken := _swallowed(args)):
        words.append(taken)
    if len(words) > wanted:
        raise UsageError(
            f"`{words[wanted]}` is one word too many",
            fix=f"see `storyreel {args.command} --help`",
        )
    if hasattr(args, "last"):
        _set_last(args, words)
    args.file = storyboard_file(words[0] if words else None)
    for name in ("only", "force"):
        if hasattr(args, name):
            setattr(
                args,
                name,
                [scene for word in getattr(args, name) for scene in word.split(",") if scene],
            )


def _set_last(args: argparse.Namespace, words: list[str]) -> None:
    """Remove the word after FILE from the words, and set its argument."""
    name = args.last.upper()
    if not words or (len(words) == 1 and (_is_file if name == "SCENE" else _has_suffix)(words[0])):
        raise UsageError(f"no {name} is named", fix=f"storyreel {args.command} FILE {name}")
    setattr(args, args.last, words.pop())


def _swallowed(args: argparse.Namespace) -> str | None:
    """Remove and return the last word after --only or --force that is a storyboard, or a folder
    with one.
    """
    for name in ("force", "only"):
        scenes = getattr(args, name, [])
        for is_meant in (_has_suffix, _is_file):
            meant = [i for i, word in enumerate(scenes) if is_meant(word)]
            if meant:
                return str(scenes.pop(meant[-1]))
    return None


def _has_suffix(word: str) -> bool:
    return Path(word).suffix.lower() in (".yaml", ".yml", ".json")


def _is_file(word: str) -> bool:
    return _has_suffix(word) or Path(word).is_file() or (Path(word) / STORYBOARD).is_file()


def storyboard_file(word: str | None) -> str:
    """Return the path of the storyboard: the one named, or the storyboard.yaml of the folder named,
    or of this one.

    Raises:
        UsageError: none is named and this folder has none.
    """
    if word is None:
        if not Path(STORYBOARD).is_file():
            raise UsageError(
                f"no FILE is named, and there is no {STORYBOARD} here",
                fix="name the storyboard or its folder, or make one: storyreel init DIR",
            )
        return STORYBOARD
    inside = Path(word) / STORYBOARD
    return str(inside) if inside.is_file() else word
