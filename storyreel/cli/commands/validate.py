"""`storyreel validate`: report every fault of storyboards at once."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from storyreel import manifest
from storyreel.catalog import load as catalogs
from storyreel.cli.request import catalog_file, variables
from storyreel.errors import UsageError
from storyreel.manifest import Checked, Fault, Severity
from storyreel.run import checks
from storyreel.workspace import settings


def run(args: argparse.Namespace) -> int:
    """Print the faults of each file. Return 2 if one is an error."""
    now = settings.read()
    catalog = catalogs.load(catalog_file(args) or now.catalog)
    faults: list[Fault] = []
    for name in args.files:
        try:
            checked = manifest.check(Path(name), catalog, variables(args))
        except UsageError as error:  # check the other files too
            checked = Checked(
                None, (Fault(name, 1, 1, Severity.ERROR, error.message, error.fix or ""),)
            )
        own_faults = list(checked.faults)
        if checked.storyboard:
            own_faults += _store(name, checked.storyboard, catalog, now)
        faults += own_faults
        for fault in own_faults:
            print(fault, file=sys.stderr)
        if not args.json and not any(f.severity is Severity.ERROR for f in own_faults):
            count = len(checked.storyboard.scenes) if checked.storyboard else 0
            print(f"{name}: good, {count} scene{'s' * (count != 1)}")
    if args.json:
        print(json.dumps([dataclasses.asdict(f) for f in faults], ensure_ascii=False, indent=1))
    return 2 if any(f.severity is Severity.ERROR for f in faults) else 0


def _store(
    name: str, storyboard: manifest.Storyboard, catalog: catalogs.Catalog, now: settings.Settings
) -> list[Fault]:
    """Return a fault if the API could not download a picture: an error with a key set, else a
    warning.
    """
    if not checks.cannot_publish(now):
        return []
    scene = checks.first_to_publish(storyboard, catalog, [s.id for s in storyboard.scenes])
    if scene is None:
        return []
    severity = Severity.ERROR if now.api_key else Severity.WARNING
    message = (
        f"scene `{scene}` sends a picture that the API must download from a public address, and "
        "no store is set"
    )
    return [
        Fault(name, 1, 1, severity, message, "set STORYREEL_STORE, or rehearse with --simulate")
    ]
