"""Child processes for heavy work and for files that may be damaged. A crash of one ends no run.

`python -m storyreel.workspace.workers` is one of them. It reads calls on stdin, writes results on
stdout, and exits when its parent does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from storyreel.errors import MediaError
from storyreel.workspace import children

LENGTH_BYTES = 4
CLOSED_WITHIN_S = 5.0
NICENESS = 5  # leave the processor to the run's own process

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Up to `most` processes. Each starts when it is first needed and stays until `close`."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)
        self._idle: list[Process] = []

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function in a child process. Return its result, or raise its exception.

        Function, arguments, result and exception must pickle.

        Raises:
            MediaError: the process died. The next call gets a new one.
        """
        question = pickle.dumps((function, args, kwargs))
        async with self._free:
            worker = self._idle.pop() if self._idle else await _start()
            try:
                is_result, value = await _ask(worker, question)
            except BaseException as error:  # else the next call would read its answer
                with contextlib.suppress(ProcessLookupError):
                    worker.kill()
                code = await worker.wait()
                if isinstance(error, (asyncio.IncompleteReadError, ConnectionError)):
                    raise MediaError(
                        f"the process that works on it died (exit status {code})"
                    ) from error
                raise
            self._idle.append(worker)
        if not is_result:
            raise value
        result: T = value
        return result

    async def close(self) -> None:
        """End the processes. Kill one that does not end within 5 s."""
        for worker in self._idle:
            assert worker.stdin is not None
            worker.stdin.close()
        for worker in self._idle:
            try:
                await asyncio.wait_for(worker.wait(), CLOSED_WITHIN_S)
            except TimeoutError:
                worker.kill()
                await worker.wait()
        self._idle.clear()


async def _start() -> Process:
    return await asyncio.create_subprocess_exec(
        *children.command(__name__),
        stdin=PIPE,
        stdout=PIPE,
        env=children.environment(),
        # Ctrl-C must not reach it. In a session of its own its niceness would have no effect
        # (sched(7), autogroup).
        process_group=0,
    )


async def _ask(worker: Process, question: bytes) -> tuple[bool, Any]:
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(question)
    await worker.stdin.drain()
    length = int.from_bytes(await worker.stdout.readexactly(LENGTH_BYTES), "big")
    is_result, value = pickle.loads(await worker.stdout.readexactly(length))
    return is_result, value


def serve() -> None:
    """Execute calls one by one until stdin closes."""
    os.nice(NICENESS)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library's prints must not mix with results
    # Suppressed: the parent has exited.
    with contextlib.suppress(EOFError, pickle.UnpicklingError, BrokenPipeError):
        while True:
            function, args, kwargs = pickle.load(sys.stdin.buffer)
            try:
                answer = True, function(*args, **kwargs)
            except Exception as error:
                answer = False, error
            data = pickle.dumps(answer)
            answers.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
            answers.flush()


if __name__ == "__main__":
    serve()
