"""The JSON Schemas for editors."""

from __future__ import annotations

from typing import Any

from storyreel.catalog import load as catalogs
from storyreel.catalog.load import Catalog
from storyreel.manifest.document import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def of_storyboard(catalog: Catalog | None = None) -> dict[str, Any]:
    """Return the schema of a storyboard, with what each model of the catalogue sells."""
    catalog = catalog or catalogs.load()
    schema = Document.model_json_schema()
    parts = schema["$defs"]
    parts["FrameRef"]["required"] = ["scene"]
    entry = parts["SceneEntry"]
    entry["required"] = ["id", "prompt"]
    # optional in the code only so that our own message reports them missing
    for name in entry["required"]:
        (text,) = (
            kind for kind in entry["properties"][name].pop("anyOf") if kind["type"] == "string"
        )
        entry["properties"][name] |= text
        entry["properties"][name].pop("default")
    entry["properties"]["prompt"]["pattern"] = r"\S"
    schema["required"] = ["scenes"]
    schema["properties"]["scenes"] = {
        "type": "array",
        "minItems": 1,
        "items": {"$ref": "#/$defs/SceneEntry"},
    }
    for name in ("SceneFields", "SceneEntry"):
        parts[name]["properties"]["model"]["examples"] = list(catalog.models)
        parts[name]["allOf"] = [
            _sold(model_id, model) for model_id, model in catalog.models.items()
        ]
    return {
        "$schema": DIALECT,
        "title": "Storyreel storyboard",
        **{k: v for k, v in schema.items() if k != "title"},
    }


def of_catalog() -> dict[str, Any]:
    """Return the schema of a model catalogue."""
    return {"$schema": DIALECT, **Catalog.model_json_schema(), "title": "Storyreel model catalogue"}


def _sold(model_id: str, model: catalogs.Model) -> dict[str, Any]:
    """Limit length, size and mode to those that a scene's model sells."""
    sold: dict[str, Any] = {
        "seconds": {"enum": [*model.seconds, None]},
        "size": {"enum": [*model.sizes, None]},
        "mode": {"enum": [*model.modes, None]},
    }
    for field, allowed in (
        ("first_frame", model.first_frame.allowed),
        ("end_frame", model.end_frame.allowed),
        ("reference_images", model.reference_images is not None),
        ("reference_video", model.reference_video is not None),
    ):
        if not allowed:
            sold[field] = {"type": "null"}
    condition = {"properties": {"model": {"const": model_id}}, "required": ["model"]}
    return {"if": condition, "then": {"properties": sold}}
