"""`storyreel COMMAND`. This module knows the options; what a command does is imported when it is called."""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
from collections.abc import Sequence

from storyreel import __version__
from storyreel.cli import arguments, conduct
from storyreel.cli.complaint import complain, complain_of
from storyreel.cli.examples import EXAMPLES
from storyreel.errors import StoryboardError, StoryreelError
from storyreel.workspace import children

EPILOG = """exit codes: 0 done · 1 some scenes failed, blocked or held · 2 wrong usage or storyboard, nothing spent ·
3 stopped for money · 4 stopped by the account or the endpoint · 130 interrupted"""


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = argparse.ArgumentParser(
        prog="storyreel",
        description="Turn a storyboard into finished video: checked, priced, generated, chained, cut and reported.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"storyreel {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str, module: str | None = None) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + "." * (not text.endswith("?")),
            epilog=f"example:\n  {EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(module=f"storyreel.cli.commands.{module or name}")
        made.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return made

    one = command("init", "make a starter storyboard and its stills")
    one.add_argument("dir", nargs="?", default=".", metavar="DIR")

    one = command("validate", "find every fault of storyboards; free, no network")
    one.add_argument("files", nargs="*", metavar="FILE", help="storyboards (default: storyboard.yaml here)")
    _variables(one)
    one.add_argument("--json", action="store_true", help="the faults as JSON on stdout")

    one = command("plan", "show what would run and why, with its price; free, no network")
    _file(one)
    _selection(one)
    _scenes(one, "--force", "plan to make these scenes again")
    one.add_argument("--show-requests", action="store_true", help="show the requests that would be sent")
    one.add_argument("--animatic", action="store_true", help="make animatic.mp4 from stills and captions, for nothing")
    one.add_argument("--simulate", action="store_true", help="plan the rehearsal instead")
    one.add_argument("--json", action="store_true", help="the whole plan as JSON on stdout")

    one = command("run", "render: do what is left, cut the film, write the report")
    _file(one)
    _selection(one)
    one.add_argument("--simulate", action="store_true", help="rehearse on the built-in simulator; nothing is spent")
    one.add_argument("--speed", type=_positive, default=60.0, metavar="N", help="of the simulator (default: 60 x)")
    one.add_argument("--profile", metavar="NAME", help="of the simulator: `storyreel simulator --profiles` lists them")
    one.add_argument("--yes", action="store_true", help="agree to the price beforehand")
    one.add_argument("--budget", type=_money, metavar="N", help="spend at most this, whatever the storyboard says")
    _scenes(one, "--force", "make these scenes again")
    one.add_argument(
        "--accept-differences", action="store_true", help="go on where a model's first clip is not what was asked for"
    )
    one.add_argument("--json", action="store_true", help="the report as JSON on stdout")

    one = command("batch", "render a storyboard once for each row of a table")
    _file(one)
    _last(one, "rows", "a .csv, .xlsx or .parquet file: its columns are the variables, and `id`")
    one.add_argument(
        "--workspace", metavar="DIR", help="the folder of results (default: runs/<storyboard>-batch in the project)"
    )
    one.add_argument("--simulate", action="store_true", help="rehearse on the built-in simulator; nothing is spent")
    one.add_argument("--speed", type=_positive, default=60.0, metavar="N", help="of the simulator (default: 60 x)")
    one.add_argument("--profile", metavar="NAME", help="of the simulator: `storyreel simulator --profiles` lists them")
    one.add_argument(
        "--accept-differences", action="store_true", help="go on where a model's first clip is not what was asked for"
    )
    one.add_argument("--parallel", type=int, default=4, metavar="N", help="rows at once (default: 4)")
    one.add_argument("--yes", action="store_true", help="agree to the price beforehand")
    one.add_argument("--budget", type=_money, metavar="N", help="spend at most this on all rows together")
    _variables(one)

    one = command("approve", "let a run go on that waits for its price to be approved")
    one.add_argument("run", nargs="?", metavar="RUN", help="the flow run's name or id; without it, show what waits")

    one = command("status", "show every scene's state from the ledger")
    _file(one)
    _selection(one)
    one.add_argument("--watch", action="store_true", help="show it again every second until nothing is in flight")
    one.add_argument("--simulate", action="store_true", help="of the rehearsal")
    one.add_argument("--json", action="store_true", help="as JSON on stdout")

    one = command("resolve", "settle a held take, whose answer was lost")
    _file(one)
    _last(one, "scene", "the scene's id")
    how = one.add_mutually_exclusive_group()
    how.add_argument("--adopt", metavar="VIDEO_ID", help="the request was accepted: this is its job")
    how.add_argument("--resubmit", action="store_true", help="send it once more; it may be charged twice")
    how.add_argument("--abandon", action="store_true", help="nothing came of it; the next run makes it anew")
    one.add_argument("--take", type=int, metavar="N", help="which take, where several are held")
    _selection(one)
    one.add_argument("--simulate", action="store_true", help="of the rehearsal")

    one = command("retake", "ask for one more take of a scene; the next run makes it")
    _file(one)
    _last(one, "scene", "the scene's id")
    _selection(one)
    one.add_argument("--simulate", action="store_true", help="of the rehearsal")

    one = command("rescue", "bring clips home that are paid for and not here yet; makes nothing")
    one.add_argument(
        "files", nargs="*", metavar="PATH", help="storyboards, workspaces, or a folder of them (default: runs)"
    )
    one.add_argument("--workspace", metavar="DIR", help="the folder of results, for one storyboard")
    _variables(one)

    one = command("report", "write the report again from what is there")
    _file(one)
    _selection(one)
    one.add_argument("--simulate", action="store_true", help="of the rehearsal")

    one = command("cut", "make the film again from what is there")
    _file(one)
    _selection(one)
    one.add_argument("--simulate", action="store_true", help="of the rehearsal")

    one = command("models", "show the catalogue: models, limits, prices, sources, dates")
    _catalog(one)
    one.add_argument("--json", action="store_true", help="as JSON on stdout")

    command("schema", "print the JSON Schema of a storyboard").add_argument(
        "--of", choices=("storyboard", "catalog", "language"), default="storyboard", help="default: storyboard"
    )

    one = command("simulator", "serve the stand-in API on this machine")
    one.add_argument("--port", type=int, default=8765, help="default: 8765; 0 takes a free one")
    one.add_argument(
        "--speed", type=_positive, default=60.0, metavar="N", help="times as fast as the real API (default: 60)"
    )
    one.add_argument(
        "--profile",
        metavar="NAME",
        default="strict",
        help="strict: the API's document to the letter; lax: OpenAI's own shape; gateway:NAME: a kind of neighbour",
    )
    one.add_argument("--profiles", action="store_true", help="list the profiles, and end")
    one.add_argument("--faults", metavar="FILE", help="a YAML file of faults to inject")
    one.add_argument("--max-running", type=int, metavar="N", help="refuse more jobs at once with 429")
    one.add_argument(
        "--per-minute", type=int, metavar="N", help="refuse more requests a minute with 429 and Retry-After"
    )
    one.add_argument("--credit", type=_money, metavar="N", help="refuse with 402 once jobs for this much are made")
    one.add_argument("--folder", metavar="DIR", help="keep jobs and clips here over restarts")
    _catalog(one)

    one = command("up", "a Prefect server with its UI, the deployments of prefect.yaml and a worker, on this machine")
    one.add_argument("dir", nargs="?", default=".", metavar="DIR", help="where prefect.yaml lies (default: here)")
    one.add_argument("--host", metavar="HOST", help="the address that the server listens on (default: 127.0.0.1)")
    one.add_argument("--port", type=_port, metavar="N", help="its port (default: 4200, or one that is free)")
    one.add_argument(
        "--limit", type=_count, metavar="N", help="runs that the worker executes at once (default: no limit)"
    )

    one = command("down", "end the project's worker, and with the last worker the server that `up` started")
    one.add_argument(
        "dir",
        nargs="?",
        default=".",
        metavar="DIR",
        help="where prefect.yaml lies (default: here; no project: all of them)",
    )

    one = command(
        "doctor", "check whether this machine, key, endpoint, Prefect server, ledger and store are fit to run"
    )
    _catalog(one)
    return top


def _file(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "file", nargs="?", metavar="FILE", help="the storyboard, or its folder (default: storyboard.yaml here)"
    )


def _last(one: argparse.ArgumentParser, name: str, text: str) -> None:
    """What stands behind FILE, and must be given; FILE need not."""
    one.add_argument(name, nargs="?", metavar=name.upper(), help=text)
    one.set_defaults(last=name)


def _scenes(one: argparse.ArgumentParser, name: str, text: str) -> None:
    one.add_argument(name, nargs="+", action="extend", default=[], metavar="SCENE", help=text)


def _variables(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--var", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the storyboard"
    )
    _catalog(one)


def _catalog(one: argparse.ArgumentParser) -> None:
    one.add_argument("--catalog", metavar="FILE", help="a model catalogue of your own (or STORYREEL_CATALOG)")


def _selection(one: argparse.ArgumentParser) -> None:
    one.add_argument("--workspace", metavar="DIR", help="the folder of results (default: runs/<id> in the project)")
    _scenes(one, "--only", "only these scenes, with what they need")
    one.add_argument("--from", dest="start", metavar="SCENE", help="only this scene and all downstream of it")
    _variables(one)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"`{text}` is not a number above 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number above 0")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"`{text}` is not a port")
    return int(text)


def _money(text: str) -> str:
    import decimal

    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        value = decimal.Decimal(-1)
    if not value.is_finite() or value < 0:
        raise argparse.ArgumentTypeError(f"`{text}` is not an amount of money")
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. Errors become text here, and nowhere else."""
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
    """Say what went wrong; returns the exit code."""
    if isinstance(error, StoryreelError):
        complain("storyreel", error)
        return error.exit_code
    return complain_of(error)


def _read(argv: Sequence[str] | None) -> argparse.Namespace | None:
    """The command and its options; None where only help was to be shown."""
    top = parser()
    args, rest = top.parse_known_args(argv)
    if args.command is None and not rest:
        top.print_help()
        return None
    if args.command is None or any(word.startswith("-") for word in rest) or (not hasattr(args, "last") and rest):
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
    gc.freeze()  # else the interpreter looks through every object once more as it ends: half a second
    sys.exit(code)


if __name__ == "__main__":
    entry()
