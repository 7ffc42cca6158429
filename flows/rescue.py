"""The flow `rescue-clips`: download paid clips before their links expire. It submits nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import acreate_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from storyreel.errors import StoryreelError
from storyreel.flows.server import refusal
from storyreel.run import finding, rescue
from storyreel.run.request import Request
from storyreel.run.rescue import Rescued


@flow(name="rescue-clips", persist_result=False)
@refusal.in_a_sentence
async def rescue_clips(paths: list[Path] | None = None) -> State[Any]:
    """Poll every job in flight, and download every finished clip that is not on disk.

    Args:
        paths: Storyboards, workspaces, or folders of workspaces, on the machine that runs this;
        default `runs`.
    """
    log = get_run_logger()
    errors: list[str] = []

    def log_error(name: str, error: StoryreelError) -> None:
        errors.append(name)
        log.error("%s: %s", name, error.message)

    def log_outcome(outcome: Rescued) -> None:
        log.log(
            logging.INFO if outcome.is_good else logging.ERROR,
            "%s: %s take %s: %s",
            outcome.storyboard,
            outcome.scene,
            outcome.take,
            outcome.words,
        )

    workspaces = []
    for path in paths or finding.runs_here():
        try:
            workspaces += [p for p in finding.prepare_rescue(Request(path)) if p.has_ledger()]
        except StoryreelError as error:
            log_error(str(path), error)
    outcomes, _ = await rescue.rescue(workspaces, log_outcome, log_error)
    if outcomes:
        rows = [
            {"storyboard": o.storyboard, "scene": o.scene, "take": o.take, "outcome": o.words}
            for o in outcomes
        ]
        await acreate_table_artifact(key="rescued", table=rows, description="What was asked about")
    bad = len(errors) + sum(1 for outcome in outcomes if not outcome.is_good)
    message = f"{len(outcomes)} asked about, {bad} with a problem"
    return Failed(message=message) if bad else Completed(message=message)
