"""What a flow says where it cannot begin."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Completed

from storyreel.errors import StoryboardError, StoryreelError, UsageError
from storyreel.flows.batch import render_batch
from storyreel.flows.render import render_storyboard
from storyreel.flows.rescue import rescue_clips
from storyreel.flows.server import refusal
from storyreel.manifest.faults import Fault, Severity


def ended(error: Exception | None) -> State[Any]:
    @refusal.in_a_sentence
    async def flow() -> State[Any]:
        if error:
            raise error
        return Completed()

    return asyncio.run(flow())  # type: ignore[arg-type]


def test_an_error_of_ours_is_a_failed_state_with_its_fix_and_the_error_itself() -> None:
    error = UsageError("OPENAI_API_KEY is not set", fix="export it")
    state = ended(error)
    assert state.is_failed() and state.message == "OPENAI_API_KEY is not set (Fix: export it)"
    with pytest.raises(UsageError):
        asyncio.run(_result(state))


async def _result(state: State[Any]) -> None:
    await state.aresult()


def test_a_storyboards_faults_are_named() -> None:
    fault = Fault("b.yaml", 2, 7, Severity.ERROR, "unknown key `secnds`", "write `seconds`")
    message = ended(StoryboardError([fault])).message or ""
    assert "unknown key `secnds`" in message and "Fix: write `seconds`" in message


def test_any_other_error_is_left_to_prefect() -> None:
    with pytest.raises(KeyError):
        ended(KeyError("x"))
    assert issubclass(UsageError, StoryreelError) and ended(None).is_completed()


@pytest.mark.parametrize("flow", [render_storyboard, render_batch, rescue_clips])
def test_a_flow_keeps_its_parameters(flow: Any) -> None:
    flow.validate_parameters(dict.fromkeys(flow.parameters.required or (), "a"))
