"""Advice for a person about a take without a clip, for the terminal and the page. Pure."""

from __future__ import annotations

import shlex
from typing import assert_never

from storyreel.errors import ErrorKind, Status
from storyreel.report.model import SceneReport

RUN_AGAIN = "run again"


def advice(scene: SceneReport, file: str) -> str:
    """Return the fix of its error, else what usually helps; empty for a good take.

    `file` is the storyboard's path, as a command takes it.
    """
    if scene.error and scene.error.fix:
        return scene.error.fix
    if "(Fix: " in scene.reason:  # the reason of a recorded take includes its fix
        return ""
    match scene.status:
        case Status.COMPLETED | Status.REUSED:
            return ""
        case Status.HELD:
            command = f"storyreel resolve {shlex.quote(file)} {scene.id}"
            return f"{command} --adopt VIDEO_ID, --resubmit or --abandon"
        case Status.BLOCKED:
            return ErrorKind.UPSTREAM.advice
        case Status.SKIPPED:
            return RUN_AGAIN
        case Status.FAILED:
            return scene.error.class_.advice if scene.error else RUN_AGAIN
        case _:
            assert_never(scene.status)
