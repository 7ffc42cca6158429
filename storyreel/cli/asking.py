"""Ask the person at the terminal."""

from __future__ import annotations

import sys

from storyreel.errors import UsageError


def consent(bill: str, *, is_given: bool) -> None:
    """Show the price. Return if a person agrees at the terminal, or agreed by --yes (`is_given`).

    A budget is a limit, not an agreement.

    Raises:
        UsageError: nobody agrees; nothing is sent.
    """
    if is_given:
        print(f"{bill} (list prices)", file=sys.stderr)
        return
    check_can_ask(bill, is_given=is_given)
    print(f"{bill} (list prices)\nGo ahead? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was sent", fix="answer y, or add --yes")


def check_can_ask(bill: str, *, is_given: bool) -> None:
    """Raise `UsageError` if nobody has agreed and there is no terminal to ask on."""
    if not is_given and not sys.stdin.isatty():
        raise UsageError(
            f"this would pay for {bill}, and there is no terminal to ask on; nothing was sent",
            fix="add --yes to agree beforehand; a budget limits what is spent, it does not "
            "agree to it",
        )
