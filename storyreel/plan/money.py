"""What a plan costs: in words, as a person agreed to it, and against a budget."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

from storyreel.errors import UsageError
from storyreel.manifest.faults import counted
from storyreel.plan.model import Plan, ScenePlan


def price(cost: Mapping[str, tuple[Decimal, Decimal]], unpriced: int = 0) -> str:
    """The cost of a plan, or of several, (low, high) by currency, in words; `unpriced` jobs have no
    known price.
    """
    parts = [
        f"{low} to {high} {c}" if low != high else f"{high} {c}" for c, (low, high) in cost.items()
    ]
    if parts and unpriced:
        parts.append(f"{counted(unpriced, 'job')} of no known price")
    return " + ".join(parts) or "no known price"


def bill(plan: Plan) -> str:
    """What the plan would pay for, in words: `3 jobs, about 12.00 CNY`."""
    if not plan.jobs:
        return "nothing to pay for"
    return f"{counted(plan.jobs, 'job')}, about {price(plan.cost(), plan.unpriced)}"


def agreement(plan: Plan) -> str:
    """Name the scenes of a plan, and after a colon each take that it would pay for, with what is
    sent and its price.
    """
    scenes = [
        [
            p.scene.id,
            p.request.body({}),
            p.scene.fallback_prompt,
            p.scene.takes,
            sorted(p.inputs),
            *p.scene.fallback,
        ]
        for p in plan.scenes
    ]
    paid = [
        [p.scene.id, p.key, p.scene.fallback_prompt, str(p.dearest)]
        for p in plan.scenes
        for _ in range(p.to_make)
    ]
    return f"{_short(scenes)}:{'.'.join(_short(one) for one in paid)}"


def keeps_to(plan: Plan, agreed: str) -> bool:
    """Is the plan the one that was agreed to?

    Less may be left to pay for: another run may have paid for some of it.
    """
    (scenes, _, paid), (then, _, limit) = agreement(plan).partition(":"), agreed.partition(":")
    return scenes == then and Counter(paid.split(".")) <= Counter([*limit.split("."), ""])


def _short(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def check_limit(limit: Decimal | None, name: str) -> None:
    """Raises `UsageError` where a budget is no amount of money."""
    if limit is not None and (not limit.is_finite() or limit < 0):
        raise UsageError(
            f"{name} is {limit}, which is not an amount of money", fix="give a number of 0 or more"
        )


def currency_of(plans: Iterable[Plan], currency: str | None = None) -> str | None:
    """The currency of a budget over what these plans would pay for: the one it names, else that of
    the prices. None where nothing is to be paid for.

    Raises:
        UsageError: a price is not known, or is in another currency; amounts of two are never added.
    """
    first: ScenePlan | None = None
    for planned in (scene for plan in plans for scene in plan.scenes if scene.to_make):
        scene = planned.scene
        if planned.price is None:
            raise UsageError(
                f"no price is known for {scene.model} (scene `{scene.id}`), so no budget "
                "can be kept",
                fix="give the model `prices` in a catalogue of your own "
                "(docs/add-a-model.md), or leave the budget away",
            )
        if currency and planned.price.currency != currency:
            whose = f"scene `{first.scene.id}` is" if first else "the budget is"
            raise UsageError(
                f"scene `{scene.id}` ({scene.model}) is priced in "
                f"{planned.price.currency}; {whose} in {currency}, and no "
                "budget can be kept over two currencies",
                fix="run the scenes of one currency at a time with --only, give "
                f"{scene.model} a {currency} price in a "
                "catalogue of your own, or leave the budget away",
            )
        if currency is None:
            first, currency = planned, planned.price.currency
    return currency
