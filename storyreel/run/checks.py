"""Refuses a run that could not send what it must, or that nobody agreed to, before anything is
spent.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from storyreel.catalog.load import Catalog
from storyreel.errors import UsageError
from storyreel.manifest.storyboard import Storyboard
from storyreel.plan import make as plans
from storyreel.plan import money
from storyreel.plan.make import Plan
from storyreel.run import elsewhere
from storyreel.run.inputs import needs_store, no_store
from storyreel.run.request import Prepared
from storyreel.workspace.settings import Settings

# Prefect's process worker runs what a deployment pulls in a folder that it deletes after the run.
_PASSING = re.compile(r"^tmp.*prefect$|^runner_storage$")


def check_ready(prepared: Prepared, plan: Plan) -> None:
    """Refuse a run that could not send what it must, before anything is spent.

    Raises:
        UsageError: no key, a picture that the API could not fetch, or a budget that cannot be kept.
    """
    budget_currency(prepared, plan)
    if prepared.request.simulate or not plan.has_work:
        return
    if plan.jobs:
        _require_lasting(prepared)
    if prepared.settings.api_key is None:
        raise UsageError(
            "OPENAI_API_KEY is not set",
            fix="export OPENAI_API_KEY=…, or rehearse for nothing with --simulate",
        )
    if cannot_publish(prepared.settings):
        scene = first_to_publish(
            prepared.storyboard, prepared.catalog, {p.scene.id for p in plan.scenes if p.to_make}
        )
        if scene:
            raise no_store(scene)


def _require_lasting(prepared: Prepared) -> None:
    """Refuse to pay where ledger or clips would be deleted with the run's temporary folder.

    Raises:
        UsageError: they would.
    """
    places = [prepared.workspace.root]
    if prepared.ledger_url.startswith(elsewhere.SQLITE):
        places.append(Path(prepared.ledger_url.removeprefix(elsewhere.SQLITE)))
    temporary = Path(tempfile.gettempdir()).resolve()
    for place in places:
        if place.resolve().is_relative_to(temporary):
            top = place.resolve().relative_to(temporary).parts[:1]
            if top and _PASSING.match(top[0]):
                raise UsageError(
                    f"results would be in {place}, a folder that Prefect's worker deletes "
                    "after this run: "
                    "each run would pay again",
                    fix="set STORYREEL_WORKSPACE to a folder that stays, in the worker's "
                    "environment, "
                    "or pull with set_working_directory",
                )


def budget_currency(prepared: Prepared, plan: Plan) -> str | None:
    """The currency of the budgets of a request; None where there are none, or nothing is to be paid
    for.

    Raises:
        UsageError: they cannot be held against the prices of the plan.
    """
    request, board = prepared.request, prepared.storyboard.budget
    limits = {
        "--budget": request.budget,
        "budget_per_run": request.caps.per_run,
        "budget_per_day": request.caps.per_day,
        "the storyboard's budget": board.limit if board else None,
    }
    for name, limit in limits.items():
        money.check_limit(limit, name)
    if all(limit is None for limit in limits.values()):
        return None
    return money.currency_of([plan], board.currency if board else None)


def check_agreed(agreed: str | None, plan: Plan) -> None:
    """Refuse a plan that is not the one whose price was agreed to; `agreed` is its
    `plan.agreement`, None if nobody asked.

    Raises:
        UsageError: it is another.
    """
    if agreed is not None and not plans.keeps_to(plan, agreed):
        raise UsageError(
            "the storyboard, one of its pictures, or what the ledger holds changed after "
            "the price was agreed to; "
            f"nothing was sent. As it is now: {plans.bill(plan)}",
            fix="run the same command again, and agree to the price as it is now",
        )


def cannot_publish(settings: Settings) -> bool:
    """Is no store set where one would be needed for a picture that the API takes by URL only?"""
    return settings.store is None and not settings.is_local


def first_to_publish(storyboard: Storyboard, catalog: Catalog, among: Iterable[str]) -> str | None:
    """The first scene among these whose pictures must be published, or None."""
    chosen = set(among)
    for scene in storyboard.scenes:
        if scene.id in chosen and needs_store(scene, catalog.models[scene.model].image):
            return scene.id
    return None
