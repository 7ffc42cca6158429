"""No text, however broken, makes the loader stumble: it ends in a storyboard or in faults with a
place and a fix.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from storyreel.catalog import load as catalog
from storyreel.manifest import Checked
from storyreel.plan import make as plan

EXAMPLES = sorted((Path(__file__).parents[2] / "manifests").glob("*.yaml"))
PIECES = [
    b"{", b"}", b"[", b"]", b":", b"- ", b"\n", b"null", b"5", b'"', b"'", b"&a ", b"*a", b"<<: ", b"!!python/object ", b"${",
    b"$", b"previous", b"{scene: lamp}", b"\t", b"|", b"#", b"?", b"%", b"@", b"1e999", b".nan", b"0x1F", b"true", b"\xc3",
    b"\xe2\x80\xa8", b"---", b",", b"  ", b"scenes:", b"id: a", b"!!binary aGk=", b"? a", b"=", b"\x00",
]  # fmt: skip


def spoilt(rng: random.Random) -> bytes:
    """An example with a few pieces put in, taken out or doubled."""
    text = bytearray(rng.choice(EXAMPLES).read_bytes())
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        at = rng.randrange(len(text) + 1)
        if rng.random() < 0.5:
            text[at:at] = rng.choice(PIECES)
        elif rng.random() < 0.6:
            del text[at : at + rng.choice([1, 2, 5, 20, 80])]
        else:
            other = rng.randrange(len(text) + 1)
            text[at:at] = text[other : other + rng.choice([5, 20, 60])]
    return bytes(text)


@pytest.mark.parametrize("seed", range(5))
def test_broken_text_ends_in_faults(check: Callable[..., Checked], seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(80):
        checked = check(spoilt(rng))
        assert all(f.line >= 1 and f.column >= 1 and f.fix for f in checked.faults)
        if checked.storyboard is not None:
            plan.make(checked.storyboard, catalog.load(), plan.Snapshot())


def test_an_equals_sign_as_a_key_is_an_unknown_key(check: Callable[..., Checked]) -> None:
    checked = check("version: 1\nscenes:\n  - {id: a, prompt: x, model: kling-video-o1, =: 1}\n")
    assert "unknown key `=`" in checked.faults[0].message
