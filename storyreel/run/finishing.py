"""Film and report of the clips on disk: of a run that has ended, or where no run has anything to
do. Spends nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from storyreel.errors import StoryreelError
from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Storyboard
from storyreel.plan.make import Action, Plan, ScenePlan
from storyreel.report import outcome
from storyreel.report.build import build
from storyreel.report.model import CutReport, RunReport
from storyreel.report.outcome import Outcome
from storyreel.report.writers import files
from storyreel.run import planning, strays
from storyreel.run.request import Prepared
from storyreel.workspace.folder import Workspace, write_whole

Shown = list[tuple[str, Take | None]]


@dataclass(frozen=True, slots=True)
class Film:
    """The film on disk, and why no new one is made of the clips: `error`, or `warning` where only
    scenes are missing that the run was not asked for. `is_wanted`: a new one can be made now.
    """

    report: CutReport | None = None
    error: str | None = None
    warning: str | None = None
    is_wanted: bool = False

    @classmethod
    def on_disk(cls, workspace: Workspace) -> Film:
        """The film as it is on disk."""
        known = recorded(workspace)
        return cls(known[1] if known else None)

    @classmethod
    def before_cut(cls, plan: Plan, clips: Shown, workspace: Workspace) -> Film:
        """The film on disk, and whether a new one can be made of these clips."""
        film = cls.on_disk(workspace)
        if not plan.storyboard.cut.enabled:
            return film
        error, warning = why_not(plan, clips, film.report)
        return cls(film.report, error, warning, is_wanted=not error and not warning)

    def failed(self, error: StoryreelError | OSError | str) -> Film:
        """The same film, with the reason why no new one was made."""
        if isinstance(error, OSError):
            error = f"the disk failed: {error}"
        return dataclasses.replace(
            self,
            error=error.message if isinstance(error, StoryreelError) else error,
            is_wanted=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a report says of the run itself."""

    run_id: str
    simulated: bool
    endpoint: str
    started_at: float
    finished_at: float
    stopped: str | None = None
    warnings: tuple[str, ...] = ()


def shown(plan: Plan) -> Shown:
    """(scene id, its used take if the clip is on disk, else the one that it is to replace) of every
    scene, in film order.
    """
    return [(p.scene.id, p.kept or _instead(p)) for p in plan.scenes]


def _instead(scene_plan: ScenePlan) -> Take | None:
    used = scene_plan.used
    return used.instead.row if used and used.instead else None


def why_not(plan: Plan, clips: Shown, film: CutReport | None) -> tuple[str | None, str | None]:
    """Say why no film can be made of these clips: an error, and a warning; each may be None.

    It is a warning where only scenes are missing that were not asked for. `film` is the one on
    disk: it is never replaced by one that shows fewer of the scenes.
    """
    missing = [name for name, take in clips if take is None]
    lost = [name for name in missing if film and name in film.scenes]
    words = None
    if lost:
        words = (
            f"the film that is here is kept: it shows {', '.join(lost)}, and there is no clip "
            "for that now"
        )
    elif missing and (plan.storyboard.cut.missing == "refuse" or len(missing) == len(clips)):
        words = f"scenes are missing: {', '.join(missing)}"
    asked = [name for name in missing if plan.scene(name).action is not Action.SKIP]
    return (words, None) if asked else (None, words and f"no new film: {words}")


def finish(prepared: Prepared, plan: Plan) -> RunReport:
    """Bring report and film up to date where no run has anything to do: write each only where it
    differs.
    """
    plan = planning.take_over(prepared, plan)
    film = Film.before_cut(plan, shown(plan), prepared.workspace)
    if film.is_wanted:
        try:
            film = Film(cut(prepared, plan, again=False))
        except (StoryreelError, OSError) as error:
            film = film.failed(error)
    report = describe(prepared, plan, film)
    if files.read(prepared.workspace) != report:
        files.write_all(report, prepared.workspace)
    return report


def cut(
    prepared: Prepared,
    plan: Plan,
    *,
    again: bool = True,
    only: bool = False,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> CutReport:
    """Make `final.mp4`; without `again` only where clips or cut differ from those it was made from,
    with `only` of the scenes that were asked for and no others.

    Raises:
        UsageError: a scene is missing.
        MediaError: a clip cannot be read.
    """
    plan = planning.take_over(prepared, plan)
    clips = [one for one in shown(plan) if not only or plan.scene(one[0]).action is not Action.SKIP]
    known = None if again else recorded(prepared.workspace)
    if known and known[0] == key_of(prepared.storyboard, clips):
        return known[1]
    return make(prepared.storyboard, prepared.workspace, clips, tell=tell)


def make(
    storyboard: Storyboard,
    workspace: Workspace,
    clips: Shown,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> CutReport:
    """Make the film of these clips, and note what it was made of. `tell` hears of the pictures
    written, and of how many.

    Raises:
        UsageError: a scene is missing.
        MediaError: a clip cannot be read; the old film stays.
    """
    from storyreel.film import assembly

    key = key_of(storyboard, clips)
    film = CutReport(**assembly.cut(storyboard, workspace, clips, tell=tell))
    remember(workspace, key, film)
    return film


def key_of(storyboard: Storyboard, clips: Shown) -> str:
    """Names the film by what it is made of: the clips in order, the cut's settings, the music's
    bytes.
    """
    parts = []
    for scene_id, row in clips:
        scene = storyboard.scene(scene_id)
        clip = row.clip.sha256 if row and row.clip else None
        parts.append([scene_id, clip, scene.transition, scene.caption, scene.title])
    text = json.dumps(
        [parts, storyboard.cut.model_dump(mode="json"), storyboard.title, _music(storyboard)]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _music(storyboard: Storyboard) -> str | None:
    """What is in the music's file, not only its name."""
    try:
        return (
            hashlib.sha256(storyboard.music.read_bytes()).hexdigest() if storyboard.music else None
        )
    except OSError:
        return None


def recorded(workspace: Workspace) -> tuple[str, CutReport] | None:
    """(key, film) of the film that is there, None if there is none."""
    try:
        known = json.loads((workspace.root / ".final.json").read_text("utf-8"))
        film = CutReport.model_validate(known["film"])
        whole = workspace.film.stat().st_size == known.get("bytes", workspace.film.stat().st_size)
    except (OSError, ValueError, KeyError):
        return None
    return (str(known["key"]), film) if whole else None


def remember(workspace: Workspace, key: str, film: CutReport) -> None:
    """Note what the film was made of."""
    size = workspace.film.stat().st_size if workspace.film.exists() else 0
    noted = {"key": key, "film": film.model_dump(), "bytes": size}
    write_whole(workspace.root / ".final.json", json.dumps(noted).encode())


def describe(prepared: Prepared, plan: Plan, film: Film) -> RunReport:
    """The report of what the ledger holds.

    It is of the run that last paid for something, and its times are that run's.
    """
    history = _history(prepared)
    run_id, started, finished = _last_run(history, files.read(prepared.workspace))
    simulated = prepared.request.simulate
    ending = Ending(
        run_id=run_id,
        simulated=simulated,
        endpoint="simulator" if simulated else prepared.settings.endpoint,
        started_at=started,
        finished_at=finished,
        warnings=tuple(strays.uncollected(plan, history)),
    )
    outcomes = outcome.from_ledger(plan)
    return report_of(plan, outcomes, shown(plan), film, ending, history, prepared.workspace)


def report_of(
    plan: Plan,
    outcomes: Sequence[Outcome],
    clips: Shown,
    film: Film,
    ending: Ending,
    history: list[Take],
    workspace: Workspace,
) -> RunReport:
    """The report of these outcomes. `clips` are used in the film or by other scenes."""
    used = {take.id for _, take in clips if take}
    return build(
        plan.storyboard,
        [dataclasses.replace(o, used=True) if o.row and o.row.id in used else o for o in outcomes],
        run_id=ending.run_id,
        simulated=ending.simulated,
        endpoint=ending.endpoint,
        started_at=ending.started_at,
        finished_at=ending.finished_at,
        stopped=ending.stopped,
        cut=film.report,
        cut_error=film.error,
        frames={o.row.id: stills_of(o.row, workspace) for o in outcomes if o.row},
        history=history,
        forced=[p.scene.id for p in plan.scenes if p.forced],
        left_out=[p.scene.id for p in plan.scenes if p.action is Action.SKIP],
        warnings=[*([film.warning] if film.warning else []), *ending.warnings],
    )


def _history(prepared: Prepared) -> list[Take]:
    if not prepared.has_ledger():
        return []
    with contextlib.closing(Ledger(prepared.ledger_url)) as ledger:
        return ledger.takes(prepared.storyboard.id)


def _last_run(history: list[Take], before: RunReport | None) -> tuple[str, float, float]:
    """(id, begun, over) of the run that last paid for something: as its report says, else by the
    ledger's times.
    """
    if not history:
        now = time.time()
        return uuid.uuid4().hex[:12], now, now
    run_id = max(history, key=lambda take: take.created_at).run_id
    if before is not None and before.run_id == run_id:
        return run_id, before.started_at.timestamp(), before.finished_at.timestamp()
    own = [take for take in history if take.run_id == run_id]
    ends = [
        take.collected_at or take.completed_at or take.submitted_at or take.created_at
        for take in own
    ]
    return run_id, min(take.created_at for take in own), max(ends)


def stills_of(take: Take, workspace: Workspace) -> dict[str, str]:
    """The stills of a take that are on disk: name -> path relative to the workspace."""
    prefix = f"take-{take.take}-"
    stills = (workspace.root / "frames" / take.scene).glob(f"{prefix}*.png")
    names = {file.stem.removeprefix(prefix): workspace.relative(file) for file in stills}
    return dict(sorted(names.items()))
