"""What a budget can be held against: known prices, all in its own currency. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from storyreel.errors import UsageError
from storyreel.plan.make import Plan, ScenePlan


def check_limit(limit: Decimal | None, name: str) -> None:
    """Raises `UsageError` where a budget is no amount of money."""
    if limit is not None and (not limit.is_finite() or limit < 0):
        raise UsageError(f"{name} is {limit}, which is not an amount of money", fix="give a number of 0 or more")


def currency_of(plans: Iterable[Plan], currency: str | None = None) -> str | None:
    """The currency of a budget over what these plans would pay for: the one it names, else that of the prices. None where
    nothing is to be paid for.

    Raises:
        UsageError: a price is not known, or is in another currency; amounts of two are never added.
    """
    first: ScenePlan | None = None
    for planned in (scene for plan in plans for scene in plan.scenes if scene.to_make):
        scene = planned.scene
        if planned.price is None:
            raise UsageError(
                f"no price is known for {scene.model} (scene `{scene.id}`), so no budget can be kept",
                fix="give the model `prices` in a catalogue of your own (docs/add-a-model.md), or leave the budget away",
            )
        if currency and planned.price.currency != currency:
            whose = f"scene `{first.scene.id}` is" if first else "the budget is"
            raise UsageError(
                f"scene `{scene.id}` ({scene.model}) is priced in {planned.price.currency}; {whose} in {currency}, and no "
                "budget can be kept over two currencies",
                fix=f"run the scenes of one currency at a time with --only, give {scene.model} a {currency} price in a "
                "catalogue of your own, or leave the budget away",
            )
        if currency is None:
            first, currency = planned, planned.price.currency
    return currency
