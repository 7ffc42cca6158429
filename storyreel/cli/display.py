"""Show progress on stderr: a live table on a terminal, plain lines anywhere else."""

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
from storyreel.errors import Stage, Status
from storyreel.plan.make import Action, Plan
from storyreel.run.session import Progress

EXPLAINED = (*Status, Stage.WAITING)  # without a terminal, print the detail of these


@dataclass(slots=True)
class _Row:
    state: Stage | Status
    detail: str
    since: float

    @property
    def is_over(self) -> bool:
        return isinstance(self.state, Status)


@contextmanager
def cutting(console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while a film is cut, on a terminal only. Yield the function that advances it."""
    console = console or Console(stderr=True)
    with bars.Progress(
        console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task("cutting the film", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


class Display:
    """Show a run. Use it as a context manager, and pass `tell` to the session."""

    def __init__(self, plan: Plan, console: Console | None = None) -> None:
        self.plan = plan
        self.console = console or Console(stderr=True)
        self.rows: dict[tuple[str, int], _Row] = {}
        self.film: Progress | None = None
        self.started = time.monotonic()
        for planned in plan.scenes:
            if planned.action is not Action.SKIP:
                self.rows[planned.scene.id, 0] = _Row(Stage.QUEUED, planned.reason, self.started)
        # Last: rich calls `_render` when it is created.
        self.live = (
            Live(console=self.console, get_renderable=self._render)
            if self.console.is_terminal
            else None
        )

    def tell(self, progress: Progress) -> None:
        """Show the progress of a take or of the film. The run's event loop calls it."""
        is_new = (
            self._note_film(progress) if progress.state is Stage.CUTTING else self._note(progress)
        )
        if self.live is not None or not is_new:
            return
        name = (
            f"{progress.scene} take {progress.take}"
            if progress.take
            else progress.scene or "the film"
        )
        detail = said(progress.state, progress.detail) if progress.state in EXPLAINED else ""
        with suppress(OSError):  # a closed terminal must not end the run
            print(
                f"{name}: {progress.state}{detail and f': {detail}'}", file=sys.stderr, flush=True
            )

    def _note_film(self, progress: Progress) -> bool:
        is_new = self.film is None
        self.film = progress
        return is_new

    def _note(self, progress: Progress) -> bool:
        """Record the state of a take. Return whether it changed."""
        if progress.take:
            self.rows.pop((progress.scene, 0), None)
        key = (progress.scene, progress.take)
        old = self.rows.get(key)
        is_new = old is None or old.state != progress.state
        since = time.monotonic() if old is None or is_new else old.since
        self.rows[key] = _Row(progress.state, said(progress.state, progress.detail), since)
        return is_new

    def __enter__(self) -> Display:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live:
            with suppress(OSError):
                self.live.stop()

    def _render(self) -> RenderableType:
        over = sum(1 for row in self.rows.values() if row.is_over)
        foot = Text(
            f"{over} of {len(self.rows)} done, {time.monotonic() - self.started:.0f} s", style="dim"
        )
        if self.film is None:
            return Group(self._table(), foot)
        percent = self.film.percent or 0
        bar = Table.grid(padding=(0, 1))
        words = Text(f"{percent} %, {self.film.detail}", style="dim")
        bar.add_row(Text("cutting the film"), ProgressBar(100, percent, width=30), words)
        return Group(self._table(), bar, foot)

    def _table(self) -> Table:
        room = max(4, self.console.height - 4)
        order = {planned.scene.id: planned.scene.index for planned in self.plan.scenes}
        rows = sorted(self.rows.items(), key=lambda item: (order.get(item[0][0], 0), item[0][1]))
        if len(rows) > room:  # show unfinished takes first
            rows = sorted(rows, key=lambda item: item[1].is_over)[:room]
        table = Table(box=None, padding=(0, 1), show_header=False, expand=True)
        table.add_column(no_wrap=True, max_width=32)
        table.add_column(no_wrap=True, width=11)
        table.add_column(no_wrap=True, width=8, justify="right")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        for (scene, take), row in rows:
            name = f"{scene} take {take}" if take else scene
            is_timed = not row.is_over and row.state is not Stage.QUEUED
            seconds = f"{time.monotonic() - row.since:.0f} s" if is_timed else ""
            state = Text(row.state, style=row.state.tone.style)
            table.add_row(name, state, seconds, Text(row.detail, style="dim"))
        return table
