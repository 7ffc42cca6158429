"""Film and report from what is there already: no network, no Prefect, nothing spent."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
import uuid
from collections.abc import Callable

from storyreel.errors import MediaError, UsageError
from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import Take
from storyreel.manifest.storyboard import Storyboard
from storyreel.plan.make import Action, Plan, ScenePlan
from storyreel.report import outcome
from storyreel.report.build import build
from storyreel.report.model import CutReport, RunReport
from storyreel.report.writers import files
from storyreel.run import opening
from storyreel.run.opening import Prepared
from storyreel.workspace.folder import Workspace, write_whole

Shown = list[tuple[str, Take | None]]


def shown(planned: Plan) -> Shown:
    """(scene id, its used take if the clip is on disk, else the one that it is to replace) of every scene, in film order."""
    return [(p.scene.id, p.kept or _instead(p)) for p in planned.scenes]


def _instead(planned: ScenePlan) -> Take | None:
    used = planned.used
    return used.instead.row if used and used.instead else None


def why_not(planned: Plan, clips: Shown, film: CutReport | None) -> tuple[str | None, str | None]:
    """Why no film is to be made of these clips now: (an error, or None; a warning where only scenes that were not asked for are
    missing, or None). `film` is the one that is here: it is never replaced by one that shows fewer of the scenes."""
    missing = [name for name, take in clips if take is None]
    lost = [name for name in missing if film and name in film.scenes]
    words = None
    if lost:
        words = f"the film that is here is kept: it shows {', '.join(lost)}, and there is no clip for that now"
    elif missing and (planned.storyboard.cut.missing == "refuse" or len(missing) == len(clips)):
        words = f"scenes are missing: {', '.join(missing)}"
    asked = [name for name in missing if planned.scene(name).action is not Action.SKIP]
    return (words, None) if asked else (None, words and f"no new film: {words}")


def finish(prepared: Prepared, planned: Plan) -> RunReport:
    """Bring report and film up to date: written where they are not there, or not of what is there now."""
    planned = opening.take_over(prepared, planned)
    known = recorded(prepared.workspace)
    film, error, warning = known[1] if known else None, None, None
    if prepared.storyboard.cut.enabled:
        error, warning = why_not(planned, shown(planned), film)
    if prepared.storyboard.cut.enabled and not error and not warning:
        try:
            film = cut(prepared, planned, again=False)
        except (MediaError, UsageError) as caught:
            error = caught.message
    told = describe(prepared, planned, film, error, warning)
    if files.read(prepared.workspace) != told:
        files.write_all(told, prepared.workspace)
    return told


def cut(
    prepared: Prepared,
    planned: Plan,
    *,
    again: bool = True,
    only: bool = False,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> CutReport:
    """Make `final.mp4`; without `again` only where the clips or the cut are not those it was made from, with `only` of the
    scenes that were asked for and no others.

    Raises:
        UsageError: a scene is missing.
        MediaError: a clip cannot be read.
    """
    planned = opening.take_over(prepared, planned)
    clips = [one for one in shown(planned) if not only or planned.scene(one[0]).action is not Action.SKIP]
    workspace, key = prepared.workspace, key_of(prepared.storyboard, clips)
    known = None if again else recorded(workspace)
    if known and known[0] == key:
        return known[1]
    from storyreel.film import assembly

    made = CutReport(**assembly.cut(prepared.storyboard, workspace, clips, tell=tell))
    remember(workspace, key, made)
    return made


def key_of(storyboard: Storyboard, clips: Shown) -> str:
    """Names the film by what it is made of: the clips in order, the cut's settings, the music's bytes."""
    parts = []
    for scene_id, row in clips:
        scene = storyboard.scene(scene_id)
        clip = row.clip.sha256 if row and row.clip else None
        parts.append([scene_id, clip, scene.transition, scene.caption, scene.title])
    text = json.dumps([parts, storyboard.cut.model_dump(mode="json"), storyboard.title, _music(storyboard)])
    return hashlib.sha256(text.encode()).hexdigest()


def _music(storyboard: Storyboard) -> str | None:
    """What is in the music's file, not only its name."""
    try:
        return hashlib.sha256(storyboard.music.read_bytes()).hexdigest() if storyboard.music else None
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


def describe(
    prepared: Prepared, planned: Plan, film: CutReport | None, error: str | None, warning: str | None = None
) -> RunReport:
    """The report of what is in the ledger. It is of the run that last paid for something, and its times are that run's: where
    nothing is done, nothing is to be forgotten."""
    history = _history(prepared)
    run_id, started, finished = _last_run(history, files.read(prepared.workspace))
    used = {p.kept.id for p in planned.scenes if p.kept}
    outcomes = outcome.from_ledger(planned)
    simulated = prepared.request.simulate
    return build(
        prepared.storyboard,
        [dataclasses.replace(o, used=True) if o.row and o.row.id in used else o for o in outcomes],
        run_id=run_id,
        simulated=simulated,
        endpoint="simulator" if simulated else prepared.settings.endpoint,
        started_at=started,
        finished_at=finished,
        cut=film,
        cut_error=error,
        frames=_stills(planned, prepared.workspace),
        history=history,
        left_out=[p.scene.id for p in planned.scenes if p.action is Action.SKIP],
        warnings=[warning] if warning else [],
    )


def _history(prepared: Prepared) -> list[Take]:
    if not prepared.has_ledger():
        return []
    with contextlib.closing(Ledger(prepared.ledger_url)) as ledger:
        return ledger.takes(prepared.storyboard.id)


def _last_run(history: list[Take], before: RunReport | None) -> tuple[str, float, float]:
    """(id, begun, over) of the run that last paid for something: as its report says, else by the ledger's times."""
    if not history:
        now = time.time()
        return uuid.uuid4().hex[:12], now, now
    run_id = max(history, key=lambda take: take.created_at).run_id
    if before is not None and before.run_id == run_id:
        return run_id, before.started_at.timestamp(), before.finished_at.timestamp()
    own = [take for take in history if take.run_id == run_id]
    ends = [take.collected_at or take.completed_at or take.submitted_at or take.created_at for take in own]
    return run_id, min(take.created_at for take in own), max(ends)


def _stills(planned: Plan, workspace: Workspace) -> dict[int, dict[str, str]]:
    return {
        one.row.id: stills_of(one.row, workspace)
        for scene in planned.scenes
        for take in scene.takes
        for one in (take, take.instead)
        if one and one.row
    }


def stills_of(take: Take, workspace: Workspace) -> dict[str, str]:
    """The stills of a take that are on disk: name -> path relative to the workspace."""
    prefix = f"take-{take.take}-"
    found = sorted((workspace.root / "frames" / take.scene).glob(f"{prefix}*.png"))
    return {file.stem.removeprefix(prefix): workspace.relative(file) for file in found}
