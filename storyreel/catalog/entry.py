"""The shape that all mappings of the catalogue share.

The sentence under each field is its description in the JSON Schema.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict

T = TypeVar("T")
# YAML has lists, strings and numbers only; what is in a list stays strict.
Several = Annotated[tuple[T, ...], Strict(False)]
Amount = Annotated[Decimal, Strict(False)]
Day = Annotated[date, Strict(False)]
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")]


class Entry(BaseModel):
    """A mapping of the catalogue: strict types, no unknown key."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        serialize_by_alias=True,
    )
