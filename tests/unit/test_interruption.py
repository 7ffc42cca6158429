"""Signals are held while something must be finished, and given to whoever handles them
afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator

import pytest
from rich.console import Console

from storyreel.flows.server import interruption

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def came() -> Iterator[list[int]]:
    """The signals that reach a handler of before."""
    found: list[int] = []
    before = {one: signal.signal(one, lambda number, frame: found.append(number)) for one in ENDING}
    yield found
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.parametrize("kind", ENDING)
def test_a_signal_is_held_to_the_end_and_then_given_on_once(
    kind: signal.Signals, came: list[int]
) -> None:
    steps = []

    async def work() -> None:
        async with interruption.held():
            try:
                os.kill(os.getpid(), kind)
                await asyncio.Event().wait()
            finally:
                for _ in range(3):
                    os.kill(os.getpid(), signal.SIGTERM)
                    await asyncio.sleep(0)
                steps.append(list(came))

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
    assert steps == [[]] and came == [kind]


def test_films_of_one_batch_are_ended_by_the_batch(came: list[int]) -> None:
    ended = []

    async def film(name: str) -> None:
        async with interruption.held():
            try:
                await asyncio.Event().wait()
            finally:
                ended.append((name, list(came)))

    async def batch() -> None:
        async with interruption.held(), asyncio.TaskGroup() as films:
            films.create_task(film("a"))
            films.create_task(film("b"))
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(batch())
    assert sorted(ended) == [("a", []), ("b", [])] and came == [signal.SIGTERM]


def test_films_side_by_side_are_both_ended_and_none_begins_after_that(came: list[int]) -> None:
    ended = []

    async def film(name: str) -> None:
        async with interruption.held():
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)
                await asyncio.sleep(0)

    async def late() -> None:
        while not ended:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await film("late")

    async def both() -> None:
        films = [
            asyncio.create_task(film("a")),
            asyncio.create_task(film("b")),
            asyncio.create_task(late()),
        ]
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait(films)

    asyncio.run(both())
    assert sorted(ended) == ["a", "b"] and came == [signal.SIGTERM]


def test_a_signal_that_is_ignored_stays_so() -> None:
    """`nohup` ignores SIGHUP for its command."""

    async def work() -> str:
        async with interruption.held():
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.01)
            return "done"

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert asyncio.run(work()) == "done"
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_log_lines_that_nobody_reads_any_more_do_not_end_the_process() -> None:
    read, write = os.pipe()
    os.close(read)

    class Handler(logging.Handler):
        console = Console(file=os.fdopen(write, "w"))

        def emit(self, record: logging.LogRecord) -> None:
            self.console.print(record.getMessage())

    async def work() -> None:
        async with interruption.held():
            for _ in range(3):
                logger.error("nobody reads it")

    logger = logging.getLogger("prefect.flow_runs")
    handler = Handler()
    logger.addHandler(handler)
    try:
        asyncio.run(work())
    finally:
        logger.removeHandler(handler)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, write)  # so that its last lines can go somewhere as it is closed
        os.close(null)
        handler.console.file.close()
