"""The catalogue as data, and a user's own beside it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from storyreel.catalog import load as catalog
from storyreel.errors import CatalogError
from storyreel.manifest import schema as schemas

MINE = """\
version: 1
sources: {me: {title: my reseller, read: 2026-11-01}}
models:
  kling-v9:
    title: Kling 9
    dialect: reference
    prompt_max: 100
    seconds: [5]
    sizes: [1280x720]
    modes: [std]
    defaults: {seconds: 5, size: 1280x720, mode: std}
    text_to_video: {allowed: true, source: me}
    first_frame: {allowed: true, source: me}
    end_frame: {allowed: false, source: me}
    image: {by: [url], exact_size: true, formats: [png], source: me}
    remix: {documented: false, source: me}
    prices: [{per_second: "9.5", currency: EUR, source: me}]
"""


def test_every_figure_has_a_source_and_a_date() -> None:
    found = catalog.load()
    assert {"sora-2", "kling-video-o1", "kling-v2-1", "kling-v2-5-turbo"} < set(found.models)
    beyond = {name for name, model in found.models.items() if model.beyond}
    assert beyond == {"kling-v2-6", "kling-v3", "kling-v3-omni"}, (
        "models that the document does not have"
    )
    for model in found.models.values():
        assert all(price.source in found.sources for price in model.prices)


@pytest.mark.parametrize(
    ("model", "seconds", "mode", "with_video", "amount"),
    [
        ("kling-v2-5-turbo", 5, "std", False, "1.50"), ("kling-v2-5-turbo", 10, "pro", False, "5.00"),
        ("kling-v2-1", 5, "pro", False, "3.50"), ("kling-video-o1", 5, "pro", False, "4.00"),
        ("kling-video-o1", 5, "pro", True, "6.00"), ("sora-2", 12, None, False, "1.20"),
    ],
)  # fmt: skip
def test_prices(model: str, seconds: int, mode: str | None, with_video: bool, amount: str) -> None:
    price = catalog.load().models[model].price(seconds, mode, with_video=with_video)
    assert price is not None and price.high == Decimal(amount)


@pytest.mark.parametrize(
    ("model", "size", "mode", "made"),
    [
        ("kling-v2-5-turbo", "1280x720", "pro", (1920, 1080)), ("kling-v2-5-turbo", "1920x1080", "std", (1280, 720)),
        ("kling-video-o1", "720x1280", "pro", (1080, 1920)), ("kling-v2-1", "1080x1080", "std", (720, 720)),
        ("sora-2", "720x1280", None, (720, 1280)),
    ],
)  # fmt: skip
def test_mode_decides_the_resolution_and_size_the_orientation(
    model: str, size: str, mode: str | None, made: tuple[int, int]
) -> None:
    assert catalog.load().models[model].output_size(size, mode) == made


def test_a_model_is_added_without_code(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    found = catalog.load(path)
    assert {"kling-v9", "sora-2"} <= set(found.models)
    assert found.models["kling-v9"].price(5, "std") == (Decimal("47.5"), Decimal("47.5"), "EUR")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("prompt_max: 100", "prompt_mx: 100", "prompt_mx"),
        ("source: me", "source: nobody", "unknown source nobody"),
        ("seconds: 5, size", "seconds: 7, size", "defaults must be among"),
        ("version: 1", "version: 2", "version"),
        ("models:", "models: [", "not YAML"),
        ("seconds: [5]", 'seconds: ["5"]', "seconds.0"),
        ("allowed: true", "allowed: yes", "allowed"),
        ("prompt_max: 100", "prompt_max: 1e2", "prompt_max"),
        ("modes: [std]", "modes: [1]", "modes.0"),
        ("read: 2026-11-01", "read: lately", "read"),
    ],
)
def test_a_wrong_catalogue_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE.replace(old, new))
    with pytest.raises(CatalogError, match=message):
        catalog.load(path)


def test_every_field_of_the_catalogue_is_described_in_its_schema() -> None:
    schema = schemas.of_catalog()
    parts = {**schema["$defs"], "Catalog": schema}
    without = [
        f"{part}.{name}"
        for part, one in parts.items()
        for name, field in one.get("properties", {}).items()
        if not field.get("description")
    ]
    assert not without
