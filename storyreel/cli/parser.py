"""Every command with its options. Light: `--help` imports nothing else."""

from __future__ import annotations

import argparse

from storyreel import __version__
from storyreel.cli import options
from storyreel.cli.examples import EXAMPLES

EPILOG = """exit codes: 0 done · 1 some scenes failed, blocked or held ·
2 wrong usage or storyboard, nothing spent · 3 stopped for money ·
4 stopped by the account or the endpoint · 130 interrupted"""


class Commands:
    """The commands of one parser, in the order of the help text."""

    def __init__(self, top: argparse.ArgumentParser) -> None:
        self._commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def add(self, name: str, text: str) -> argparse.ArgumentParser:
        """Add a command; the module of the same name runs it."""
        command = self._commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + "." * (not text.endswith("?")),
            epilog=f"example:\n  {EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(module=f"storyreel.cli.commands.{name}")
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return command

    def add_for_storyboard(self, name: str, text: str) -> argparse.ArgumentParser:
        """Add a command that takes FILE and a selection of scenes."""
        command = self.add(name, text)
        options.file(command)
        options.selection(command)
        return command


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands and options."""
    top = argparse.ArgumentParser(
        prog="storyreel",
        description="Turn a storyboard into finished video: checked, priced, generated, "
        "chained, cut "
        "and reported.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"storyreel {__version__}")
    commands = Commands(top)
    _before_paying(commands)
    _run(commands)
    _batch(commands)
    _takes(commands)
    _results(commands)
    _reference(commands)
    _simulator(commands)
    _machine(commands)
    return top


def _before_paying(commands: Commands) -> None:
    command = commands.add("init", "make a starter storyboard and its stills")
    command.add_argument("dir", nargs="?", default=".", metavar="DIR")

    command = commands.add("validate", "find every fault of storyboards; free, no network")
    command.add_argument(
        "files", nargs="*", metavar="FILE", help="storyboards (default: storyboard.yaml here)"
    )
    options.variables(command)
    options.json(command, "the faults as JSON on stdout")

    command = commands.add_for_storyboard(
        "plan", "show what would run and why, with its price; free, no network"
    )
    options.scenes(command, "--force", "plan to make these scenes again")
    command.add_argument(
        "--show-requests", action="store_true", help="show the requests that would be sent"
    )
    command.add_argument(
        "--animatic",
        action="store_true",
        help="make animatic.mp4 from stills and captions, for free",
    )
    options.simulate(command, "plan the rehearsal instead")
    options.json(command, "the whole plan as JSON on stdout")


def _run(commands: Commands) -> None:
    command = commands.add_for_storyboard(
        "run", "render every scene that is not done, cut the film, write the report"
    )
    options.simulate(command, "rehearse on the built-in simulator; nothing is spent")
    options.speed(command)
    command.add_argument("--yes", action="store_true", help="agree to the price beforehand")
    command.add_argument(
        "--budget",
        type=options.money,
        metavar="N",
        help="spend at most this, even if the storyboard allows more",
    )
    options.scenes(command, "--force", "make these scenes again")
    command.add_argument(
        "--accept-differences",
        action="store_true",
        help="go on if a model's first clip differs from the request",
    )
    options.json(command, "the report as JSON on stdout")


def _batch(commands: Commands) -> None:
    command = commands.add("batch", "render a storyboard once for each row of a table")
    options.file(command)
    options.last(
        command, "rows", "a .csv, .xlsx or .parquet file: its columns are the variables, and `id`"
    )
    command.add_argument(
        "--workspace",
        metavar="DIR",
        help="the folder of results (default: runs/<storyboard>-batch in the project)",
    )
    options.simulate(command, "rehearse on the built-in simulator; nothing is spent")
    options.speed(command)
    command.add_argument(
        "--accept-differences",
        action="store_true",
        help="go on if a model's first clip differs from the request",
    )
    command.add_argument(
        "--parallel", type=int, default=4, metavar="N", help="rows at once (default: 4)"
    )
    command.add_argument("--yes", action="store_true", help="agree to the price beforehand")
    command.add_argument(
        "--budget", type=options.money, metavar="N", help="spend at most this on all rows together"
    )
    options.variables(command)

    command = commands.add("approve", "let a run continue that waits for approval of its price")
    command.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="the flow run's name or id; without it, list the runs that wait",
    )


def _takes(commands: Commands) -> None:
    command = commands.add_for_storyboard("status", "show every scene's state from the ledger")
    command.add_argument(
        "--watch", action="store_true", help="show it again every second until nothing is in flight"
    )
    options.simulate(command)
    options.json(command)

    command = commands.add("resolve", "settle a held take, whose answer was lost")
    options.file(command)
    options.last(command, "scene", "the scene's id")
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "--adopt", metavar="VIDEO_ID", help="the request was accepted: this is its job"
    )
    how.add_argument(
        "--resubmit", action="store_true", help="send it once more; it may be charged twice"
    )
    how.add_argument(
        "--abandon", action="store_true", help="no job was made; the next run makes the scene again"
    )
    command.add_argument("--take", type=int, metavar="N", help="which take, if several are held")
    options.selection(command)
    options.simulate(command)

    command = commands.add_for_storyboard(
        "retake", "request one more take of a scene; the next run makes it"
    )
    options.last(command, "scene", "the scene's id")
    options.simulate(command)

    command = commands.add(
        "rescue", "download every finished clip that is paid for and missing; submits nothing"
    )
    command.add_argument(
        "files",
        nargs="*",
        metavar="PATH",
        help="storyboards, workspaces, or a folder of them (default: runs)",
    )
    command.add_argument(
        "--workspace", metavar="DIR", help="the folder of results, for one storyboard"
    )
    options.variables(command)


def _results(commands: Commands) -> None:
    for name, text in (
        ("report", "write the report again from the ledger and the clips on disk"),
        ("cut", "make the film again from the clips on disk"),
    ):
        options.simulate(commands.add_for_storyboard(name, text))


def _reference(commands: Commands) -> None:
    command = commands.add("models", "show the catalogue: models, limits, prices, sources, dates")
    options.catalog(command)
    options.json(command)

    command = commands.add("schema", "print the JSON Schema of a storyboard")
    command.add_argument(
        "--of",
        choices=("storyboard", "catalog", "language"),
        default="storyboard",
        help="default: storyboard",
    )


def _simulator(commands: Commands) -> None:
    command = commands.add("simulator", "serve the stand-in API on this machine")
    command.add_argument("--port", type=int, default=8765, help="default: 8765; 0 takes a free one")
    command.add_argument(
        "--speed",
        type=options.positive,
        default=60.0,
        metavar="N",
        help="times as fast as the real API (default: 60)",
    )
    command.add_argument(
        "--profile",
        metavar="NAME",
        default="strict",
        help="strict: the API's document to the letter; lax: OpenAI's own shape; "
        "gateway:NAME: another server of the family",
    )
    command.add_argument("--profiles", action="store_true", help="list the profiles, then exit")
    command.add_argument("--faults", metavar="FILE", help="a YAML file of faults to inject")
    command.add_argument(
        "--max-running", type=int, metavar="N", help="refuse more jobs at once with 429"
    )
    command.add_argument(
        "--per-minute",
        type=int,
        metavar="N",
        help="refuse more requests a minute with 429 and Retry-After",
    )
    command.add_argument(
        "--credit",
        type=options.money,
        metavar="N",
        help="refuse with 402 once jobs for this much are made",
    )
    command.add_argument("--folder", metavar="DIR", help="keep jobs and clips here over restarts")
    options.catalog(command)


def _machine(commands: Commands) -> None:
    command = commands.add(
        "up",
        "a Prefect server with its UI, the deployments of prefect.yaml and a worker, on "
        "this machine",
    )
    command.add_argument(
        "dir",
        nargs="?",
        default=".",
        metavar="DIR",
        help="the folder with prefect.yaml (default: this one)",
    )
    command.add_argument(
        "--host", metavar="HOST", help="the address that the server listens on (default: 127.0.0.1)"
    )
    command.add_argument(
        "--port",
        type=options.port,
        metavar="N",
        help="its port (default: 4200, or one that is free)",
    )
    command.add_argument(
        "--limit",
        type=options.count,
        metavar="N",
        help="runs that the worker executes at once (default: no limit)",
    )

    command = commands.add(
        "down", "end the project's worker, and with the last worker the server that `up` started"
    )
    command.add_argument(
        "dir",
        nargs="?",
        default=".",
        metavar="DIR",
        help="the folder with prefect.yaml (default: this one; no project: all of them)",
    )

    command = commands.add(
        "doctor",
        "check whether this machine, key, endpoint, Prefect server, ledger and store are "
        "fit to run",
    )
    options.catalog(command)
