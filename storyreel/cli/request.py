"""Convert command-line options to the request of a run."""

from __future__ import annotations

import argparse
import os
import sys
from decimal import Decimal
from pathlib import Path

from storyreel.errors import UsageError
from storyreel.run import placing
from storyreel.run.request import Prepared, Request


def variables(args: argparse.Namespace) -> dict[str, str]:
    """Parse the `--var name=value` options. Raise `UsageError` on a bad one."""
    given = {}
    for text in args.var:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"--var {text}: there is no `=`", fix="write --var name=value")
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise UsageError(f"--var {name}: its value is not UTF-8", fix="write it in UTF-8")
        given[name] = value
    return given


def choose_profile(args: argparse.Namespace) -> None:
    """Pass the profile of `--profile` to the rehearsal's simulator.

    Raises `UsageError` for an unknown name.
    """
    if not args.profile:
        return
    from storyreel.simulator import profiles

    if not args.simulate:
        raise UsageError(
            "--profile is for rehearsals", fix="add --simulate, or leave --profile out"
        )
    os.environ[profiles.ENVIRONMENT] = profiles.find(args.profile).name


def catalog_file(args: argparse.Namespace) -> Path | None:
    """Return the file of the `--catalog` option."""
    return Path(args.catalog) if args.catalog else None


def prepare(args: argparse.Namespace) -> Prepared:
    """Read the storyboard and find its results. Print where they are if that is unusual."""
    prepared = placing.prepare(from_args(args))
    if prepared.note:
        print(f"storyreel: {prepared.note}", file=sys.stderr)
    return prepared


def from_args(args: argparse.Namespace) -> Request:
    """Build the request of plan, run, status, cut and report."""
    budget = getattr(args, "budget", None)
    return Request(
        storyboard=Path(args.file),
        workspace=Path(args.workspace) if args.workspace else None,
        simulate=args.simulate,
        speed=getattr(args, "speed", 60.0),
        only=tuple(args.only),
        start=args.start,
        variables=variables(args),
        budget=Decimal(budget) if budget is not None else None,
        force=tuple(getattr(args, "force", [])),
        accept_differences=getattr(args, "accept_differences", False),
        catalog=catalog_file(args),
    )
