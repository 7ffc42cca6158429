"""Amounts, in words that agree with their number."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from storyreel.catalog import load as catalog
from storyreel.manifest import Checked
from storyreel.manifest.faults import counted
from storyreel.plan import make as plan
from storyreel.plan.make import Snapshot

ONE = "version: 1\nid: b\ndefaults: {model: kling-video-o1}\nscenes:\n  - {id: a, prompt: x}\n"
TWO = ONE + "  - {id: b, prompt: y}\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs"), (1.2, "1 job"), (0.6, "1 job"), (1.6, "2 jobs")],
)
def test_a_noun_agrees_with_its_number(number: float, words: str) -> None:
    assert counted(number, "job") == words


def test_a_price_that_is_not_known_is_said_to_be(check: Callable[..., Checked]) -> None:
    models = catalog.load()
    free = {name: m.model_copy(update={"prices": []}) for name, m in models.models.items()}
    board = check(TWO).storyboard
    assert board is not None
    assert plan.bill(plan.make(board, models, Snapshot())) == "2 jobs, about 8.00 CNY"
    unpriced = plan.make(board, models.model_copy(update={"models": free}), Snapshot())
    assert plan.bill(unpriced) == "2 jobs, about no known price"
    assert plan.price({"CNY": (Decimal(4), Decimal(4))}, 1) == "4 CNY + 1 job of no known price"


def test_a_plan_is_named_by_what_it_would_pay_for(check: Callable[..., Checked]) -> None:
    def name(text: str) -> str:
        board = check(text).storyboard
        assert board is not None
        return plan.agreement(plan.make(board, catalog.load(), Snapshot()))

    same = [
        ONE,
        ONE.replace("id: b\n", "id: b\ntitle: another\n"),
        ONE.replace("prompt: x", "prompt: x, caption: c"),
    ]
    others = [TWO, ONE.replace("prompt: x", "prompt: z"), ONE.replace("prompt: x", "prompt: x, takes: 2"),
              ONE.replace("prompt: x", "prompt: x, fallback_prompt: y")]  # fmt: skip
    assert len({name(text) for text in same}) == 1
    assert len({name(text) for text in [ONE, *others]}) == 5
