"""`storyreel schema`: print the JSON Schemas, or the language reference."""

from __future__ import annotations

import argparse
import json


def run(args: argparse.Namespace) -> int:
    """Print the schema or the reference that --of names."""
    from storyreel.manifest import reference, schema

    if args.of == "language":
        print(reference.markdown(), end="")
        return 0
    text = schema.of_catalog() if args.of == "catalog" else schema.of_storyboard()
    print(json.dumps(text, ensure_ascii=False, indent=1))
    return 0
