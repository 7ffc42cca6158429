"""Print errors and reasons for people."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator

from storyreel.errors import StoryreelError


def said(state: str, reason: str) -> str:
    """Return a reason to print beside its state, without the state: `held: …` becomes `…`."""
    return reason.removeprefix(f"{state}: ").removeprefix(f"{state} yet: ")


def complain(who: str, error: StoryreelError) -> None:
    """Print the error, then its Fix, on stderr."""
    print(f"{who}: {error.message}", file=sys.stderr)
    if error.fix:
        print(f"  Fix: {error.fix}", file=sys.stderr)


def complain_of(error: Exception) -> int:
    """Print any error and return its exit code.

    Show the first `StoryreelError` inside it, else the first of the operating system: a person can
    fix those. Else ask for a report.
    """
    inside = list(_leaves(error))
    for cause in inside:
        if isinstance(cause, StoryreelError):
            complain("storyreel", cause)
            return cause.exit_code
    for cause in inside:
        if isinstance(cause, OSError) and cause.errno is not None:
            complain("storyreel", _of_the_system(cause))
            return 2
    first = inside[0]
    text = " ".join(str(first).split())
    print(f"storyreel: a fault of its own: {type(first).__name__}: {text}", file=sys.stderr)
    print(
        "  Fix: run it again with --debug, and report the traceback; the ledger has what is paid",
        file=sys.stderr,
    )
    return 1


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors inside a group of errors, or the error itself."""
    for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _leaves(inner)
    if not isinstance(error, BaseExceptionGroup):
        yield error


def _of_the_system(error: OSError) -> StoryreelError:
    place = f"{error.filename}: " if error.filename else ""
    fix = _FIXES.get(
        error.errno or 0,
        "correct this, then run the same command again: what is paid for is in the ledger",
    )
    return StoryreelError(f"{place}{error.strerror or error}", fix=fix)


_AGAIN = "then run the same command again: what is paid for is in the ledger"
_FIXES = {
    errno.ENOSPC: f"make room on this disk, {_AGAIN}",
    errno.EDQUOT: f"make room in your quota, {_AGAIN}",
    errno.EROFS: "make this place writable, or name one that is (HOME, PREFECT_HOME, the working "
    f"folder), {_AGAIN}",
    errno.EACCES: f"correct the permissions of this place, {_AGAIN}",
    errno.EPERM: f"correct the permissions of this place, {_AGAIN}",
    errno.ENOENT: "put this file or folder back, or name another (HOME, PREFECT_HOME, or "
    "the option "
    f"that names it), {_AGAIN}",
    errno.EADDRINUSE: "end the program that uses this port, or name another with --port",
    errno.EMFILE: f"raise the limit of open files (ulimit -n 4096), {_AGAIN}",
}
