"""The whole catalogue: models, dialects, the endpoint and the sources of all figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from storyreel.catalog.dialect import AddTo, At, Dialect, Endpoint
from storyreel.catalog.entry import Entry
from storyreel.catalog.model import Model, Source


class Catalog(Entry):
    """All models by id."""

    version: Literal[1]
    """The version of this format."""
    sources: dict[str, Source] = Field(default_factory=dict)
    """The pages and contracts that the entries name."""
    models: dict[str, Model]
    """The models by the id that the API knows."""
    dialects: dict[str, Dialect] = Field(default_factory=dict)
    """How requests are written, by name. The rest is sent as `reference` does."""
    endpoint: Endpoint = Field(
        Endpoint(), description="What is peculiar to the server beside its dialects."
    )

    @model_validator(mode="after")
    def _sources_exist(self) -> Catalog:
        missing = {name for name in _named_sources(self.models) if name not in self.sources}
        if missing:
            raise ValueError(
                f"unknown source {', '.join(sorted(missing))}; name it under `sources`"
            )
        return self

    @model_validator(mode="after")
    def _dialects_send_what_models_take(self) -> Catalog:
        for name, model in self.models.items():
            if model.dialect not in self.dialects:
                raise ValueError(
                    f"{name}: unknown dialect {model.dialect}; name it under `dialects`"
                )
            if unsent := next(_unsent(model, self.dialects[model.dialect]), None):
                raise ValueError(
                    f"{name}: {unsent}, and the dialect {model.dialect} does not send it"
                )
        return self

    def dialect_of(self, model: Model) -> Dialect:
        """Return the dialect of a model. The model's constants replace those of the dialect."""
        dialect = self.dialects[model.dialect]
        return dialect.model_copy(update={"constants": {**dialect.constants, **model.constants}})


def _unsent(model: Model, dialect: Dialect) -> Iterator[str]:
    """Yield each input or size that the model accepts and its dialect cannot send."""
    for role in ("first_frame", "end_frame", "reference_video"):
        rule = getattr(model, role)
        if rule is not None and rule.allowed and not dialect.place(role):
            yield f"it takes `{role}`"
    if model.reference_images and not dialect.references:
        yield "it takes `reference_images`"
    if isinstance(dialect.size, At):
        yield from (f"it sells size {size}" for size in model.sizes if not dialect.size.takes(size))
    for role in ("first_frame", "end_frame", "references", "reference_video"):
        place = getattr(dialect, role)
        if isinstance(place, AddTo) and "$" not in str(place.item):
            yield f"no `$` stands in the item of `{role}`"


def _named_sources(models: dict[str, Model]) -> Iterator[str]:
    for model in models.values():
        yield from [model.beyond] if model.beyond else []
        yield from (one.source for one in model.sums)
        yield from (one.source for one in model.exclusive)
        for value in model.model_dump().values():
            for entry in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(entry, dict) and "source" in entry:
                    yield str(entry["source"])
