"""The JSON Schemas that editors use are those of the code."""

from __future__ import annotations

import json
from pathlib import Path

from storyreel.manifest import schema

MANIFESTS = Path(__file__).parents[2] / "manifests"


def test_the_committed_schemas_are_the_codes_own() -> None:
    assert json.loads((MANIFESTS / "schema.json").read_text("utf-8")) == schema.of_storyboard()
    assert json.loads((MANIFESTS / "catalog.schema.json").read_text("utf-8")) == schema.of_catalog()
