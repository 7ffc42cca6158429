"""Runs a storyboard in a forked child that can be killed at its n-th point.

A point is any moment at which dying could leave something behind: before and after each statement
and commit of the ledger, before each request and after each answer, before each file that is opened
for writing, moved or removed. Orders come as JSON lines on stdin; each is answered by one on
stdout: the child's exit status, how many points it saw, and for an order that says `watch` the
durable state at each of them.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psycopg
import sqlalchemy as sa

from storyreel.api.client import Client
from storyreel.report.writers import html
from storyreel.run import opening, placing, planning
from storyreel.run.render import Run
from storyreel.run.request import Request
from storyreel.run.steps import PlainSteps
from storyreel.workspace.settings import Settings
from storyreel.workspace.workers import Workers

# What a run imports late is imported here once, before the forks: it would be half of a run's CPU.
LATE = (
    "PIL.BmpImagePlugin", "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.PpmImagePlugin", "PIL.ImageSequence",
    "alembic.command", "alembic.context", "alembic.ddl.mysql", "alembic.ddl.postgresql", "alembic.op", "pandas",
    "PIL.GifImagePlugin", "anyio._backends._asyncio", "encodings.idna", "encodings.utf_8_sig", "sqlalchemy.dialects.sqlite",
    "storyreel.film.media.intake",
)  # fmt: skip

KILLED = 77
UNRESERVED = 55


class Points:
    """Counts, and ends the process at the chosen one, as kill -9 would: no handler, no flush, no
    goodbye.
    """

    def __init__(self, die_at: int, look: Callable[[], object] | None = None) -> None:
        self.die_at = die_at
        self.look = look
        self.seen = 0
        self.states: list[int] = []
        self._numbers: dict[object, int] = {}
        self.lock = threading.Lock()

    def __call__(self, *_: Any) -> None:
        with self.lock:
            self.seen += 1
            if self.seen == self.die_at:
                os._exit(KILLED)
            if self.look:
                self.states.append(self._numbers.setdefault(self.look(), len(self._numbers)))


class Transport(httpx.AsyncHTTPTransport):
    """The real transport, with a point on each side of every request; it lets no POST through that
    is not reserved.
    """

    point: Points
    ledger: str
    under_way: ClassVar[Counter[str]] = Counter()  # POSTs that the server may or may not have taken
    answered: ClassVar[Counter[str]] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and not self.is_reserved():
            os._exit(UNRESERVED)
        self.point()
        is_post = request.method == "POST"
        self.under_way[request.url.path] += is_post
        answer = await super().handle_async_request(request)
        self.under_way[request.url.path] -= is_post
        self.answered[request.url.path] += is_post
        self.point()
        return answer

    def is_reserved(self) -> bool:
        """Asked past Storyreel's own ledger code, on a connection of its own."""
        is_postgres = self.ledger.startswith("postgresql:")
        connection: Any = (
            psycopg.connect(self.ledger) if is_postgres else sqlite3.connect(self.ledger)
        )
        try:
            return bool(
                connection.execute(
                    "SELECT count(*) FROM takes WHERE state = 'submitting'"
                ).fetchone()[0]
            )
        finally:
            connection.close()


def durable(workspace: Path) -> object:
    """What a death would leave behind: the files, the ledger's rows as others see them, and what
    the server may have taken.
    """
    files = tuple(
        (str(path), size_bytes(path))
        for path in sorted(workspace.rglob("*"))
        if "ledger.db" not in path.name
    )
    rows: tuple[object, ...] = ()
    if (workspace / "ledger.db").exists():
        with closing(sqlite3.connect(workspace / "ledger.db")) as connection:
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            ).fetchall()
            rows = tuple(
                tuple(connection.execute(f"SELECT * FROM {name}").fetchall()) for (name,) in tables
            )
    return (
        files,
        rows,
        tuple(sorted((+Transport.under_way).items())),
        tuple(sorted((+Transport.answered).items())),
    )


def size_bytes(path: Path) -> int:
    """The file's size; -1 if another thread has just moved it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


class Here(Workers):
    """Works in this process, so that the points of what it does are counted too; and two starts of
    Python a run are saved.
    """

    async def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(function, *args, **kwargs)


def watch(point: Points, workspace: str) -> None:
    """Put the points into the ledger and the files."""
    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, name, point)
    sa.event.listen(sa.pool.Pool, "checkin", point)

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove", "os.mkdir") or not str(
            args[0]
        ).startswith(workspace):
            return
        if event != "open" or (isinstance(args[1], str) and set(args[1]) & set("wax+")):
            point()

    sys.addaudithook(audit)


async def render(order: dict[str, Any], point: Points) -> None:
    Transport.point = point
    Transport.ledger = os.environ.get("STORYREEL_DATABASE_URL") or f"{order['workspace']}/ledger.db"

    def client(settings: Settings) -> Client:
        return Client(settings, transport=Transport(retries=0))

    prepared = placing.prepare(
        Request(
            Path(order["board"]),
            workspace=Path(order["workspace"]),
            catalog=Path(order["catalog"]),
            force=tuple(order["force"]),
        )
    )
    watch(point, order["workspace"])
    workers = Here if order["here"] else Workers
    run_id = os.urandom(4).hex()
    async with opening.open_session(
        prepared, run_id, make_client=client, make_workers=workers
    ) as session:
        snapshot, plan = planning.plan_to_run(prepared, session.ledger, run_id)
        await Run(session, plan, snapshot, PlainSteps(session)).render()


def child(order: dict[str, Any], out: int) -> None:
    os.environ.update(order["environment"])
    workspace = Path(order["workspace"])
    point = Points(order["die_at"], (lambda: durable(workspace)) if order["watch"] else None)
    asyncio.run(render(order, point))
    os.write(out, json.dumps({"points": point.seen, "states": point.states}).encode())
    os._exit(0)


def main() -> None:
    for name in LATE:
        importlib.import_module(name)
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
        with os.fdopen(read) as pipe:
            seen = json.loads(pipe.read() or '{"points": 0}')
        print(json.dumps({"exit": os.waitstatus_to_exitcode(status), **seen}), flush=True)


if __name__ == "__main__":
    main()
