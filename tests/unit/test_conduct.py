"""How a flow ends at the command line."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import httpx
import pytest

from storyreel.cli import conduct


async def _failing(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_flow_has_no_state(kind: signal.Signals) -> None:
    async def flow() -> Any:
        os.kill(os.getpid(), kind)
        await asyncio.Event().wait()

    # A job in the background inherits SIGINT ignored, one under `nohup` SIGHUP.
    default = signal.default_int_handler if kind == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(kind, default)
    try:
        assert conduct.conduct(flow()) is None
    finally:
        signal.signal(kind, before)


def test_a_server_that_is_lost_is_told_with_what_to_do() -> None:
    error = httpx.ConnectError("All connection attempts failed")
    with pytest.raises(conduct.ServerLost, match=r"lost \(ConnectError\)") as told:
        conduct.conduct(_failing(error))
    assert "PREFECT_API_URL" in str(told.value.fix)


def test_any_other_error_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="of ours"):
        conduct.conduct(_failing(ValueError("of ours")))


def test_what_fails_after_the_results_are_told_is_prefects() -> None:
    with pytest.raises(conduct.ServerLost, match=r"lost \(ValueError\)"):
        conduct.conduct(_failing(ValueError("of Prefect's")), ["a report"])
