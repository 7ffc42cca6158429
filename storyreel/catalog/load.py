"""Read the catalogue: the packaged file, and a user's own over it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from storyreel.catalog.model import Catalog, ImageRule, Model, PriceRange, Size, parse_size
from storyreel.errors import CatalogError

# The room's door: other rooms need this module only.
__all__ = ["Catalog", "ImageRule", "Model", "PriceRange", "Size", "load", "parse_size"]
_PACKAGED = Path(__file__).with_name("catalog.yaml")


def load(extra: Path | None = None) -> Catalog:
    """Return the packaged catalogue, with the models of `extra` added or replaced.

    Raises:
        CatalogError: the file is missing, is not YAML, or breaks the schema.
    """
    packaged = _packaged()
    if extra is None:
        return packaged
    mine = _parse(extra, known_sources={name: s.model_dump() for name, s in packaged.sources.items()})
    return packaged.model_copy(
        update={"models": {**packaged.models, **mine.models}, "sources": {**packaged.sources, **mine.sources}}
    )


@cache
def _packaged() -> Catalog:
    return _parse(_PACKAGED, known_sources={})


def _parse(path: Path, known_sources: dict[str, Any]) -> Catalog:
    data = _read(path)
    if not isinstance(data, dict):
        raise CatalogError(
            f"{path}: a catalogue is a mapping with `version` and `models`", fix="see docs/add-a-model.md"
        )
    data["sources"] = {**known_sources, **(data.get("sources") or {})}
    try:
        return Catalog.model_validate(data)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise CatalogError(f"{path}: {'; '.join(faults)}", fix="see docs/add-a-model.md for the schema") from error


def _read(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(path.read_bytes())
    except OSError as error:
        raise CatalogError(
            f"cannot read the catalogue {path}: {error.strerror}", fix="correct STORYREEL_CATALOG or --catalog"
        ) from error
    except YAMLError as error:
        raise CatalogError(f"{path}: not YAML: {error}", fix="correct the line it names") from error
