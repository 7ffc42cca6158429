"""The cost of a plan: in words, as a person agreed to it, and against a budget."""

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
    """Return the cost of one or several plans, in words.

    `cost` holds (low, high) by currency. `unpriced` jobs have no known price.
    """
    parts = [
        f"{low} to {high} {c}" if low != high else f"{high} {c}" for c, (low, high) in cost.items()
    ]
    if parts and unpriced:
        parts.append(f"{counted(unpriced, 'job')} of no known price")
    return " + ".join(parts) or "no known price"


def bill(plan: Plan) -> str:
    """Return what the plan would pay for, in words: `3 jobs, about 12.00 CNY`."""
    if not plan.jobs:
        return "nothing to pay for"
    return f"{counted(plan.jobs, 'job')}, about {price(plan.cost(), plan.unpriced)}"


def agreement(plan: Plan) -> str:
    """Return a name of the plan: its scenes, a colon, then each take that it would pay for.

    The name changes with what is sent and with each price.
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
    return f"{_short(scenes)}:{'.'.join(_short(take) for take in paid)}"


def keeps_to(plan: Plan, agreed: str) -> bool:
    """Is the plan the one that was agreed to, as `agreement` names it?

    It may pay for fewer takes: another run may have paid for some of them since.
    """
    scenes, _, paid = agreement(plan).partition(":")
    agreed_scenes, _, agreed_paid = agreed.partition(":")
    allowed = Counter([*agreed_paid.split("."), ""])
    return scenes == agreed_scenes and Counter(paid.split(".")) <= allowed


def _short(value: object) -> str:
    """Return the first 16 hexadecimal digits of the value's sha256."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def check_limit(limit: Decimal | None, name: str) -> None:
    """Raise `UsageError` if a budget is not an amount of money."""
    if limit is not None and (not limit.is_finite() or limit < 0):
        raise UsageError(
            f"{name} is {limit}, which is not an amount of money", fix="give a number of 0 or more"
        )


def currency_of(plans: Iterable[Plan], currency: str | None = None) -> str | None:
    """Return the currency of a budget over these plans: `currency`, else that of their prices.

    Return None where nothing is to be paid for and `currency` is None.

    Raises:
        UsageError: a price is unknown, or in another currency. Two currencies are never added.
    """
    first: ScenePlan | None = None
    for scene_plan in (scene for plan in plans for scene in plan.scenes if scene.to_make):
        scene = scene_plan.scene
        if scene_plan.price is None:
            raise UsageError(
                f"no price is known for {scene.model} (scene `{scene.id}`), so no budget "
                "can be kept",
                fix="give the model `prices` in a catalogue of your own "
                "(docs/add-a-model.md), or leave the budget away",
            )
        if currency and scene_plan.price.currency != currency:
            whose = f"scene `{first.scene.id}` is" if first else "the budget is"
            raise UsageError(
                f"scene `{scene.id}` ({scene.model}) is priced in "
                f"{scene_plan.price.currency}; {whose} in {currency}, and no "
                "budget can be kept over two currencies",
                fix="run the scenes of one currency at a time with --only, give "
                f"{scene.model} a {currency} price in a "
                "catalogue of your own, or leave the budget away",
            )
        if currency is None:
            first, currency = scene_plan, scene_plan.price.currency
    return currency
