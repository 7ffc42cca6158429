"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse


def file(command: argparse.ArgumentParser) -> None:
    """Add FILE."""
    command.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="the storyboard, or its folder (default: storyboard.yaml here)",
    )


def last(command: argparse.ArgumentParser, name: str, text: str) -> None:
    """Add a required word after FILE. FILE itself may be left out."""
    command.add_argument(name, nargs="?", metavar=name.upper(), help=text)
    command.set_defaults(last=name)


def scenes(command: argparse.ArgumentParser, name: str, text: str) -> None:
    """Add an option that takes several scenes and may be repeated."""
    command.add_argument(name, nargs="+", action="extend", default=[], metavar="SCENE", help=text)


def variables(command: argparse.ArgumentParser) -> None:
    """Add --var and --catalog, which change how a storyboard is read."""
    command.add_argument(
        "--var",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a variable of the storyboard",
    )
    catalog(command)


def catalog(command: argparse.ArgumentParser) -> None:
    """Add --catalog."""
    command.add_argument(
        "--catalog", metavar="FILE", help="a model catalogue of your own (or STORYREEL_CATALOG)"
    )


def selection(command: argparse.ArgumentParser) -> None:
    """Add the options that choose results and scenes."""
    command.add_argument(
        "--workspace",
        metavar="DIR",
        help="the folder of results (default: runs/<id> in the project)",
    )
    scenes(command, "--only", "only these scenes, with what they need")
    command.add_argument(
        "--from", dest="start", metavar="SCENE", help="only this scene and all downstream of it"
    )
    variables(command)


def positive(text: str) -> float:
    """Parse a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"`{text}` is not a number above 0")
    return value


def count(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number above 0")
    return int(text)


def port(text: str) -> int:
    """Parse a port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"`{text}` is not a port")
    return int(text)


def money(text: str) -> str:
    """Check that the text is an amount of money. Return it unchanged."""
    import decimal

    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        value = decimal.Decimal(-1)
    if not value.is_finite() or value < 0:
        raise argparse.ArgumentTypeError(f"`{text}` is not an amount of money")
    return text


def simulate(
    command: argparse.ArgumentParser, text: str = "use the results of the rehearsal"
) -> None:
    """Add --simulate."""
    command.add_argument("--simulate", action="store_true", help=text)


def speed(command: argparse.ArgumentParser) -> None:
    """Add --speed and --profile of a rehearsal."""
    command.add_argument(
        "--speed",
        type=positive,
        default=60.0,
        metavar="N",
        help="speed of the rehearsal (default: 60 times the real API's)",
    )
    command.add_argument(
        "--profile",
        metavar="NAME",
        help="profile of the rehearsal's simulator; `storyreel simulator --profiles` lists them",
    )


def json(command: argparse.ArgumentParser, text: str = "as JSON on stdout") -> None:
    """Add --json."""
    command.add_argument("--json", action="store_true", help=text)
