"""`storyreel models`: show the catalogue."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from storyreel.catalog import load as catalog
from storyreel.cli.request import catalog_file
from storyreel.workspace import settings


def run(args: argparse.Namespace) -> int:
    """Print the catalogue as a table, or as JSON."""
    models = catalog.load(catalog_file(args) or settings.read().catalog)
    if args.json:
        print(models.model_dump_json(indent=1))
        return 0
    table = Table(show_lines=True)
    for name in ("model", "takes", "seconds", "sizes", "price per second", "waits", "life"):
        table.add_column(name, overflow="fold")
    for name, model in models.models.items():
        takes = ["text"] * model.text_to_video.allowed + ["first frame"] * model.first_frame.allowed
        takes += ["end frame"] * model.end_frame.allowed
        if model.reference_images:
            takes.append(f"{model.reference_images.max} reference images")
        takes += ["reference video"] * bool(model.reference_video) + [
            "remix"
        ] * model.remix.documented
        prices = [
            f"{p.mode or ''}{' + video' if p.with_video else ''} {p.per_second} "
            f"{p.currency} ({p.source}, "
            f"{models.sources[p.source].read})".strip()
            for p in model.prices
        ]
        waits = [f"{w.seconds} s: {w.low_s / 60:g}-{w.high_s / 60:g} min" for w in model.waits]
        life = (
            f"ends {model.life.ends}; use {model.life.successor or 'another'}" if model.life else ""
        )
        table.add_row(
            f"{name}\n{', '.join(model.modes)}",
            ", ".join(takes),
            ", ".join(map(str, model.seconds)),
            " ".join(model.sizes),
            "\n".join(prices),
            "\n".join(waits),
            life,
        )
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160).print(table)
    for key, source in models.sources.items():
        print(f"{key}: {source.title}, read {source.read}")
    return 0
