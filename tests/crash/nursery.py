"""Runs a storyboard in a forked child that can be killed at its n-th point.

A point is any moment at which dying could leave something behind: before and after each statement and commit of the
ledger, before each request and after each answer, before each file that is opened for writing, moved or removed.
Orders come as JSON lines on stdin; each is answered by one on stdout: the child's exit status and how many points it saw.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pandas  # noqa: F401  # what a run imports late is imported here once, before the forks
import psycopg
import sqlalchemy as sa
from prefect.logging import disable_run_logger

from flows.render import Rendering
from storyreel import opening
from storyreel.client import Client
from storyreel.media import intake  # noqa: F401
from storyreel.settings import Settings
from storyreel.workers import Workers
from storyreel.writers import html

KILLED = 77
UNRESERVED = 55


class Points:
    """Counts, and ends the process at the chosen one, as kill -9 would: no handler, no flush, no goodbye."""

    def __init__(self, die_at: int) -> None:
        self.die_at = die_at
        self.seen = 0
        self.lock = threading.Lock()

    def __call__(self, *_: Any) -> None:
        with self.lock:
            self.seen += 1
            if self.seen == self.die_at:
                os._exit(KILLED)


class Transport(httpx.AsyncHTTPTransport):
    """The real transport, with a point on each side of every request; it lets no POST through that is not reserved."""

    point: Points
    ledger: str

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and not self.is_reserved():
            os._exit(UNRESERVED)
        self.point()
        answer = await super().handle_async_request(request)
        self.point()
        return answer

    def is_reserved(self) -> bool:
        """Asked past Storyreel's own ledger code, on a connection of its own."""
        is_postgres = self.ledger.startswith("postgresql:")
        connection: Any = psycopg.connect(self.ledger) if is_postgres else sqlite3.connect(self.ledger)
        try:
            return bool(connection.execute("SELECT count(*) FROM takes WHERE state = 'submitting'").fetchone()[0])
        finally:
            connection.close()


class Here(Workers):
    """Works in this process, so that the points of what it does are counted too; and two starts of Python a run are saved."""

    async def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(function, *args, **kwargs)


class Plain(Rendering):
    """The flow's own rendering, its tasks called without Prefect's engine."""

    async def _run(self, task: Any, *args: Any) -> dict[str, Any]:
        result: dict[str, Any] = await task.fn(*args)
        return result


def watch(point: Points, workspace: str) -> None:
    """Put the points into the ledger and the files."""
    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, name, point)
    sa.event.listen(sa.pool.Pool, "checkin", point)

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove", "os.mkdir") or not str(args[0]).startswith(workspace):
            return
        if event != "open" or (isinstance(args[1], str) and set(args[1]) & set("wax+")):
            point()

    sys.addaudithook(audit)


async def render(order: dict[str, Any], point: Points) -> None:
    Transport.point = point
    Transport.ledger = os.environ.get("STORYREEL_DATABASE_URL") or f"{order['workspace']}/ledger.db"

    def client(settings: Settings) -> Client:
        return Client(settings, transport=Transport(retries=0))

    prepared = opening.prepare(
        opening.Request(
            Path(order["board"]),
            workspace=Path(order["workspace"]),
            catalog=Path(order["catalog"]),
            force=tuple(order["force"]),
        )
    )
    watch(point, order["workspace"])
    async with opening.open_session(prepared, os.urandom(4).hex(), make_client=client) as session:
        if order["here"]:
            session._workers = Here(2)
        taken = opening.snapshot(prepared)
        await Plain(session, opening.make_plan(prepared, taken), taken, simulated=False).run()


def child(order: dict[str, Any], out: int) -> None:
    os.environ.update(order["environment"])
    point = Points(order["die_at"])
    with disable_run_logger():
        asyncio.run(render(order, point))
    os.write(out, str(point.seen).encode())
    os._exit(0)


def main() -> None:
    html.template()
    for line in sys.stdin:
        order = json.loads(line)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                child(order, write)
            except BaseException as error:
                import traceback

                traceback.print_exception(error)
            os._exit(99)
        os.close(write)
        _, status = os.waitpid(pid, 0)
        seen = os.read(read, 20).decode()
        os.close(read)
        print(json.dumps({"exit": os.waitstatus_to_exitcode(status), "points": int(seen or 0)}), flush=True)


if __name__ == "__main__":
    main()
