"""The JSON Schemas that editors use are those of the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyreel import manifest
from storyreel.catalog import load as catalog
from storyreel.manifest import schema

MANIFESTS = Path(__file__).parents[2] / "manifests"
VALIDATOR = jsonschema.Draft202012Validator(schema.of_storyboard())


def test_the_committed_schemas_are_the_codes_own() -> None:
    assert json.loads((MANIFESTS / "schema.json").read_text("utf-8")) == schema.of_storyboard()
    assert json.loads((MANIFESTS / "catalog.schema.json").read_text("utf-8")) == schema.of_catalog()


SCENE = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "opening", "x-1", "Bad", "", 5]),
        "prompt": st.sampled_from(["x", "守塔人", "", " ", 7, None]),
        "model": st.sampled_from(["kling-video-o1", "sora-2", "kling-v2-5-turbo"]),
    },
    optional={
        "seconds": st.sampled_from([4, 5, 7, 10, "5", None, True]),
        "size": st.sampled_from(["1280x720", "1920x1080", "640x480", "720p", 720]),
        "mode": st.sampled_from(["std", "pro", "fast", None]),
        "takes": st.sampled_from([1, 3, 50, 51, 0, -1, "2"]),
        "style": st.sampled_from(["none", "some", None]),
        "caption": st.sampled_from(["x", 5, None]),
        "transition": st.sampled_from(["cut", "fade", "wipe"]),
        "first_frame": st.sampled_from(["https://x.example/a.png", None, 5, {"keyframe": "k"}, {"keyframe": 3}, {"scene": "a", "fram": 1}]),
        "reference_video": st.sampled_from([{"url": "https://x.example/a.mp4", "refer_type": "feature"}, {"url": "ftp://x"}, {"refer_type": "x"}]),
        "promt": st.just("typo"),
    },
)  # fmt: skip
BOARD = st.fixed_dictionaries(
    {"scenes": st.lists(SCENE, min_size=1, max_size=1), "keyframes": st.just({"k": "https://x.example/k.png"})},
    optional={
        "version": st.sampled_from([1, 2, "1"]),
        "chain": st.sampled_from([True, False, "yes"]),
        "budget": st.sampled_from([{"limit": 1000}, {"limit": "12.50", "currency": "CNY"}, {"limit": -1}, {"limit": 5, "currency": "yuan"}]),
        "policy": st.sampled_from([{"on_failure": "stop"}, {"on_failure": "halt"}, {"on_ambiguous": "hold", "x": 1}]),
        "cut": st.sampled_from([{"enabled": False}, {"transition": "dissolve"}, {"transition_s": 0}, {"subtitles": "hard"}]),
        "vars": st.sampled_from([{"a": "b"}, {"a": 1}, {"a": [1]}]),
        "nonsense": st.just(1),
    },
)  # fmt: skip

# What only the loader knows: rules over several fields or scenes, and those of money.
CROSS_FIELD = (
    "priced in",
    "made from itself",
    "unknown scene",
    "used twice",
    "neither `scene`",
    "not a complete URL",
)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(board=BOARD)
def test_schema_and_loader_accept_the_same(board: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_text(json.dumps(board, ensure_ascii=False), "utf-8")
    checked = manifest.check(path, catalog.load())
    faults = [f for f in checked.faults if f.severity is manifest.Severity.ERROR]
    if any(word in f.message for f in faults for word in CROSS_FIELD):
        return
    told = sorted(VALIDATOR.iter_errors(board), key=str)
    assert bool(faults) == bool(told), ([str(f) for f in faults], [e.message for e in told])
