"""Read the catalogue: the packaged file, then the user's own on top."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from storyreel.catalog.catalog import Catalog
from storyreel.catalog.dialect import Dialect, Endpoint
from storyreel.catalog.entry import Size
from storyreel.catalog.model import ImageRule, Model, PriceRange, parse_size
from storyreel.errors import CatalogError

# Other rooms import this module only.
__all__ = [
    "Catalog",
    "Dialect",
    "Endpoint",
    "ImageRule",
    "Model",
    "PriceRange",
    "Size",
    "load",
    "parse_size",
]
_PACKAGED = Path(__file__).with_name("catalog.yaml")


def load(extra: Path | None = None) -> Catalog:
    """Return the packaged catalogue, with the models, dialects and sources of `extra` added or
    replaced.

    Raises:
        CatalogError: the file is missing, is not YAML, or breaks the schema.
    """
    packaged = _packaged()
    return _parse(extra, packaged) if extra else packaged


@cache
def _packaged() -> Catalog:
    return _parse(_PACKAGED, None)


def _parse(path: Path, below: Catalog | None) -> Catalog:
    """Parse a catalogue. Its entries replace or join those of `below`."""
    data = _read(path)
    if not isinstance(data, dict):
        raise CatalogError(
            f"{path}: a catalogue is a mapping with `version` and `models`",
            fix="see docs/add-a-model.md",
        )
    try:
        return Catalog.model_validate(_over(below, data))
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise CatalogError(
            f"{path}: {'; '.join(faults)}", fix="see docs/add-a-model.md for the schema"
        ) from error


def _over(below: Catalog | None, data: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of a file, with those of `below` that it does not replace."""
    if below is None:
        return data
    laid: dict[str, Any] = {"models": {}, **data}
    for name in ("sources", "dialects", "models"):
        mine = data.get(name) if data.get(name) is not None else {}
        laid[name] = {**getattr(below, name), **mine} if isinstance(mine, dict) else mine
    return laid


def _read(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(path.read_bytes())
    except OSError as error:
        raise CatalogError(
            f"cannot read the catalogue {path}: {error.strerror}",
            fix="correct STORYREEL_CATALOG or --catalog",
        ) from error
    except YAMLError as error:
        raise CatalogError(f"{path}: not YAML: {error}", fix="correct the line it names") from error
