"""`storyreel COMMAND`: parse the options, import the command's module, run it, print errors."""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
from collections.abc import Sequence

from storyreel.cli import arguments, conduct
from storyreel.cli.complaint import complain, complain_of
from storyreel.cli.parser import parser
from storyreel.errors import StoryboardError, StoryreelError
from storyreel.workspace import children


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Only here do errors become text."""
    args = _read(argv)
    if args is None:
        return 0
    children.spare_loopback()
    try:
        with conduct.like_ctrl_c():
            return int(importlib.import_module(args.module).run(args))
    except StoryboardError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("storyreel: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if args.debug:
            raise
        return _failed(error)


def _failed(error: Exception) -> int:
    """Print the error and return the exit code."""
    if isinstance(error, StoryreelError):
        complain("storyreel", error)
        return error.exit_code
    return complain_of(error)


def _read(argv: Sequence[str] | None) -> argparse.Namespace | None:
    """Return the command and its options; None after printing only the help."""
    top = parser()
    args, rest = top.parse_known_args(argv)
    if args.command is None and not rest:
        top.print_help()
        return None
    if (
        args.command is None
        or any(word.startswith("-") for word in rest)
        or (not hasattr(args, "last") and rest)
    ):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        arguments.settle(args, rest)
    except StoryreelError as error:
        complain("storyreel", error)
        raise SystemExit(error.exit_code) from None
    return args


def entry() -> None:
    """The console script."""
    code = main()
    if "prefect" in sys.modules:
        conduct.leave(code)
    gc.freeze()  # skips a last garbage collection of half a second
    sys.exit(code)


if __name__ == "__main__":
    entry()
