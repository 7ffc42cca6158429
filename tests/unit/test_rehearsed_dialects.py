"""The simulator reads what a model of the catalogue is sent, in any dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storyreel.catalog import load as catalog
from storyreel.manifest import check
from storyreel.plan import make as plan
from storyreel.plan.make import Snapshot
from storyreel.simulator import offered
from storyreel.simulator.rules import Refused
from tests.unit.test_docs import fenced

ADDRESS = "https://x.example/a.png"
PAGE = Path(__file__).parents[2] / "docs/add-an-endpoint.md"


def sent(
    tmp_path: Path, scene: str, text: str | None, picture: str | None
) -> tuple[dict[str, Any], catalog.Catalog]:
    (tmp_path / "mine.yaml").write_text(text or "version: 1\nmodels: {}\n")
    models = catalog.load(tmp_path / "mine.yaml")
    path = tmp_path / "b.yaml"
    path.write_text(f"version: 1\nscenes:\n  - {{id: a, prompt: x, {scene}}}\n")
    board = check(path, models).storyboard
    assert board is not None, [str(fault) for fault in check(path, models).faults]
    request = plan.make(board, models, Snapshot()).scene("a").request
    return request.body(dict.fromkeys(request.inputs, picture or ADDRESS)), models


@pytest.mark.parametrize(
    ("scene", "roles"),
    [
        (f"model: kling-v2-5-turbo, mode: pro, first_frame: '{ADDRESS}', end_frame: '{ADDRESS}', extras: {{cfg_scale: 1}}",
         ["first_frame", "end_frame"]),
        (f"model: google/veo-3.1, reference_images: ['{ADDRESS}', '{ADDRESS}']", ["reference", "reference"]),
        (f"model: google/veo-3.1, first_frame: '{ADDRESS}', end_frame: '{ADDRESS}'", ["first_frame", "end_frame"]),
        (f"model: Wan-AI/Wan2.2-I2V-A14B-Diffusers, first_frame: '{ADDRESS}'", ["first_frame"]),
        ("model: Wan-AI/Wan2.2-TI2V-5B-Diffusers, extras: {seed: 7}", []),
        (f"model: my-model, first_frame: '{ADDRESS}', reference_images: ['{ADDRESS}'], extras: {{seed: 7}}", ["first_frame", "reference"]),
        (f"model: kling-v3, first_frame: '{ADDRESS}', seconds: 15, extras: {{negative_prompt: blur}}", ["first_frame"]),
        (f"model: kling-v3-omni, reference_images: [{', '.join([repr(ADDRESS)] * 7)}]", ["reference"] * 7),
    ],
)  # fmt: skip
def test_what_is_sent_is_read(tmp_path: Path, scene: str, roles: list[str]) -> None:
    name = scene.removeprefix("model: ").partition(",")[0]
    text = next(
        (one for one in fenced(PAGE.read_text("utf-8"), "yaml") if f"\n  {name}:" in one), None
    )
    body, models = sent(tmp_path, scene, text, None)
    wanted = offered.read(body, models)
    assert [given.role for given in wanted.images] == roles
    assert (wanted.model, wanted.prompt) == (name, "x")


def test_a_picture_as_base64_and_a_video_are_read(tmp_path: Path) -> None:
    body, models = sent(tmp_path, f"model: kling-v3, first_frame: '{ADDRESS}'", None, "aGFsbG8=")
    assert offered.read(body, models).images[0].data == b"hallo"
    video = f"model: kling-v3-omni, reference_video: {{url: '{ADDRESS}', refer_type: feature}}"
    body, models = sent(tmp_path, video, None, None)
    wanted = offered.read(body, models)
    assert (wanted.video_url, wanted.video_is_base) == (ADDRESS, False)


@pytest.mark.parametrize(
    "change",
    [{"unknown": 1}, {"seconds": "16"}, {"image_list": [{"image": ADDRESS}]}, {"mode": "std"}],
)
def test_and_what_the_entry_does_not_explain_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    body, models = sent(
        tmp_path, f"model: kling-v3, first_frame: '{ADDRESS}', end_frame: '{ADDRESS}'", None, None
    )
    assert offered.read(body, models)
    with pytest.raises(Refused):
        offered.read({**body, **change}, models)
