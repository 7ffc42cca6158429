"""Work in processes of its own: results, errors and deaths come back as what they are."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storyreel.errors import MediaError
from storyreel.film.media import intake
from storyreel.workspace.workers import Workers


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(1)
    yield made
    await made.close()


async def test_work_is_done_by_one_process_that_is_kept(workers: Workers) -> None:
    first = await workers.run(os.getpid)
    assert first != os.getpid()
    assert await workers.run(os.getpid) == first


async def test_what_is_raised_there_is_raised_here(workers: Workers, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"")
    with pytest.raises(MediaError, match="the clip is empty"):
        await workers.run(intake.take_in, clip, tmp_path / "strip.jpg", {})
    with pytest.raises(FileNotFoundError):
        await workers.run(Path.read_bytes, tmp_path / "none.mp4")


async def test_a_process_that_dies_is_an_error_of_the_clip_and_the_next_clip_gets_another(
    workers: Workers,
) -> None:
    with pytest.raises(MediaError, match="died"):
        await workers.run(os.abort)
    assert await workers.run(abs, -3) == 3


async def test_the_answer_to_a_question_that_was_given_up_is_not_taken_for_the_next(
    workers: Workers, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    asked = asyncio.create_task(workers.run(Path.read_bytes, pipe))
    with await asyncio.to_thread(
        pipe.open, "wb"
    ):  # opens once it reads there, which it does until this is closed
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    assert await workers.run(abs, -3) == 3


async def test_it_does_not_see_the_key_or_an_interrupt_at_the_terminal(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert await workers.run(os.getenv, "OPENAI_API_KEY") is None
    assert await workers.run(os.getpgrp) != os.getpgrp()


async def test_it_leaves_the_processor_to_the_run(workers: Workers) -> None:
    assert await workers.run(os.nice, 0) > os.nice(0)
    assert await workers.run(os.getsid, 0) == os.getsid(0)  # niceness counts within a session only


async def test_it_finds_what_is_found_here(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def told():\n    return 'found'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert await workers.run(importlib.import_module("only_here").told) == "found"


async def test_what_is_printed_there_is_no_answer(workers: Workers) -> None:
    assert await workers.run(os.write, 1, b"noise") == 5
    assert await workers.run(abs, -3) == 3


async def test_it_ends_with_whoever_asks(workers: Workers) -> None:
    pid = await workers.run(os.getpid)
    await workers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


async def test_one_that_does_not_end_is_no_reason_to_wait_for_ever(workers: Workers) -> None:
    pid = await workers.run(os.getpid)
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    await workers.close()
    assert time.monotonic() - began < 20
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
