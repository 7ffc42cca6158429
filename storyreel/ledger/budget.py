"""Compare the price of one more take with every budget that is set."""

from __future__ import annotations

from decimal import Decimal

import sqlalchemy as sa

from storyreel.errors import BudgetReached
from storyreel.ledger.decode import amount
from storyreel.ledger.engine import Database
from storyreel.ledger.rows import CHARGED, Caps, Intent
from storyreel.ledger.tables import TAKES

DAY_S = 24 * 3600.0


class Budgets(Database):
    """Adds up spent money in the same transaction that reserves the next take."""

    def _check_budget(
        self,
        connection: sa.Connection,
        intent: Intent,
        budget: Decimal | None,
        currency: str | None,
        caps: Caps,
    ) -> None:
        """Raise `BudgetReached` if the take's price exceeds any budget.

        Raise it also if the price cannot be compared with a budget.
        """
        own = self._own(TAKES, intent.storyboard)
        run = (
            TAKES.c.run_id.startswith(f"{caps.group}.")
            if caps.group
            else TAKES.c.run_id == intent.run_id
        )
        limits = (
            (
                budget,
                own,
                "the budget",
                "raise `budget.limit` in the storyboard (or --budget), then run again",
            ),
            (caps.per_run, run, "this run's budget", "raise the budget of a run, or run again"),
            (
                caps.per_day,
                own & (TAKES.c.created_at > self._now() - DAY_S),
                "the day's budget",
                "wait, or raise it",
            ),
        )
        for limit, whose, name, fix in limits:
            if limit is None:
                continue
            price, money = _comparable(intent, name, limit, currency)
            spent = self._spent(connection, whose, name, money)
            if spent + price > limit:
                raise BudgetReached(
                    f"scene `{intent.scene}` would cost up to {price} {money}; {spent} of "
                    f"{name} of {limit} {money} is used",
                    fix=fix,
                )

    def _spent(
        self, connection: sa.Connection, whose: sa.ColumnElement[bool], name: str, money: str | None
    ) -> Decimal:
        """Return what the takes `whose` have cost. `name` is the budget's, `money` its currency."""
        rows = connection.execute(
            sa.select(TAKES.c.price, TAKES.c.currency, sa.func.sum(TAKES.c.submissions))
            .where(whose, TAKES.c.state.in_(CHARGED), TAKES.c.submissions > 0)
            # Prices are text, so that they are exact. A storyboard has few different ones.
            .group_by(TAKES.c.price, TAKES.c.currency)
        ).all()
        total = Decimal(0)
        for written, currency, submissions in rows:
            price = amount(written)
            if price is None or currency != money:
                what = "at a price that is not known" if price is None else f"in {currency}"
                raise BudgetReached(
                    f"something was paid for {what} before, so what is left of {name} in "
                    f"{money} is not known",
                    fix="leave the budget away, or give the storyboard another `id`, which "
                    "counts from nothing",
                )
            total += price * submissions
        return total


def _comparable(
    intent: Intent, name: str, limit: Decimal, currency: str | None
) -> tuple[Decimal, str | None]:
    """Return (price, currency) of a take, for comparison with a budget.

    Raises:
        BudgetReached: the take has no known price, or one in another currency.
    """
    if intent.price is None:
        raise BudgetReached(
            f"scene `{intent.scene}`: no price is known for "
            f"{intent.model or 'its model'}, so {name} of {limit} cannot hold",
            fix="give the model `prices` in a catalogue of your own (docs/add-a-model.md), "
            "or leave the budget away",
        )
    if currency and intent.currency != currency:
        raise BudgetReached(
            f"scene `{intent.scene}` costs {intent.price} {intent.currency}; {name} of "
            f"{limit} is in {currency}",
            fix=f"use a model that is priced in {currency}, or leave the budget away",
        )
    return intent.price, intent.currency
