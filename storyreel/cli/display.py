"""Progress for a person: a live table on a terminal, plain lines anywhere else. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

from rich import progress as bars
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from storyreel.cli.complaint import said
from storyreel.plan.make import Action, Plan
from storyreel.run.session import FILM, Progress

_STYLE = {
    "completed": "green", "reused": "green", "failed": "bold red", "held": "yellow", "blocked": "dim",
    "skipped": "dim", "generating": "cyan", "collecting": "blue", "submitting": "cyan", "waiting": "dim",
}  # fmt: skip
_OVER = ("completed", "reused", "failed", "held", "blocked", "skipped")


@dataclass(slots=True)
class _Row:
    state: str
    detail: str
    since: float


@contextmanager
def cutting(console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """A bar for a film that is being cut, gone when it is done; on no terminal, nothing. Yields what to tell it."""
    console = console or Console(stderr=True)
    with bars.Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("cutting the film", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


class Display:
    """Shows a run. Use as a context manager; give `tell` to the session."""

    def __init__(self, plan: Plan, console: Console | None = None) -> None:
        self.plan = plan
        self.console = console or Console(stderr=True)
        self.rows: dict[tuple[str, int], _Row] = {}
        self.started = time.monotonic()
        for planned in plan.scenes:
            if planned.action is not Action.SKIP:
                self.rows[planned.scene.id, 0] = _Row("queued", planned.reason, self.started)
        # Last: rich draws once while it is made.
        self.live = Live(console=self.console, get_renderable=self._render) if self.console.is_terminal else None

    def tell(self, progress: Progress) -> None:
        """Note what a take is doing; called from the run's event loop."""
        if progress.take:
            self.rows.pop((progress.scene, 0), None)
        key = (progress.scene, progress.take)
        old = self.rows.get(key)
        new = old is None or old.state != progress.state
        since = time.monotonic() if new or old is None else old.since
        self.rows[key] = _Row(progress.state, said(progress.state, progress.detail), since)
        if self.live is None and new:
            detail = (
                f": {said(progress.state, progress.detail)}"
                if progress.detail and progress.state in (*_OVER, "waiting")
                else ""
            )
            name = f"{progress.scene} take {progress.take}" if progress.take else progress.scene
            with suppress(OSError):  # a terminal that is gone ends no run
                print(f"{name}: {progress.state}{detail}", file=sys.stderr, flush=True)

    def __enter__(self) -> Display:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            with suppress(OSError):
                self.live.stop()

    def _render(self) -> RenderableType:
        room = max(4, self.console.height - 4)
        order = {planned.scene.id: planned.scene.index for planned in self.plan.scenes}
        rows = sorted(self.rows.items(), key=lambda item: (order.get(item[0][0], 0), item[0][1]))
        if len(rows) > room:  # what moves is worth more than what is over
            rows = sorted(rows, key=lambda item: item[1].state in _OVER)[:room]
        table = Table(box=None, padding=(0, 1), show_header=False, expand=True)
        table.add_column(no_wrap=True, max_width=32)
        table.add_column(no_wrap=True, width=11)
        table.add_column(no_wrap=True, width=8, justify="right")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        for (scene, take), row in rows:
            if scene == FILM:
                continue
            name = f"{scene} take {take}" if take else scene
            seconds = "" if row.state in _OVER or row.state == "queued" else f"{time.monotonic() - row.since:.0f} s"
            table.add_row(
                name, Text(row.state, style=_STYLE.get(row.state, "")), seconds, Text(row.detail, style="dim")
            )
        takes = [row for (scene, _), row in self.rows.items() if scene != FILM]
        over = sum(1 for row in takes if row.state in _OVER)
        foot = Text(f"{over} of {len(takes)} done, {time.monotonic() - self.started:.0f} s", style="dim")
        film = self.rows.get((FILM, 0))
        if film is None:
            return Group(table, foot)
        share = int(film.detail.partition(" ")[0])
        bar = Table.grid(padding=(0, 1))
        bar.add_row(Text("cutting the film"), ProgressBar(100, share, width=30), Text(film.detail, style="dim"))
        return Group(table, bar, foot)
