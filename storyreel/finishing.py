"""Film and report from what is there already: no network, no Prefect, nothing spent."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable

from storyreel import report
from storyreel.errors import MediaError, UsageError
from storyreel.ledger_rows import Take
from storyreel.manifest.storyboard import Storyboard
from storyreel.opening import Prepared
from storyreel.plan import Action, Plan
from storyreel.report import CutReport, RunReport
from storyreel.workspace import Workspace, write_whole
from storyreel.writers import files


def shown(planned: Plan) -> list[tuple[str, Take | None]]:
    """(scene id, its used take if the clip is on disk) of every scene that was asked for, in film order."""
    return [
        (p.scene.id, p.used.row if p.used and p.used.action is Action.REUSE else None)
        for p in planned.scenes
        if p.action is not Action.SKIP
    ]


def finish(prepared: Prepared, planned: Plan) -> RunReport:
    """Bring report and film up to date: written where they are not there, or not of what is there now."""
    started = time.time()
    film, error = None, None
    if prepared.storyboard.cut.enabled:
        try:
            film = cut(prepared, planned, again=False)
        except (MediaError, UsageError) as caught:
            error = caught.message
    told = describe(prepared, planned, started, film, error)
    there = files.read(prepared.workspace)
    same = {"run_id": told.run_id, "started_at": told.started_at, "finished_at": told.finished_at}
    if there is not None and there.model_copy(update=same) == told:
        return there
    files.write_all(told, prepared.workspace)
    return told


def cut(
    prepared: Prepared,
    planned: Plan,
    *,
    again: bool = True,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> CutReport:
    """Make `final.mp4`; without `again` only where the clips or the cut are not those it was made from.

    Raises:
        UsageError: a scene is missing.
        MediaError: a clip cannot be read.
    """
    clips = shown(planned)
    workspace, key = prepared.workspace, key_of(prepared.storyboard, clips)
    known = None if again else recorded(workspace)
    if known and known[0] == key:
        return known[1]
    from storyreel import assembly  # and with it all that decodes, which is not needed where the film is there

    made = CutReport(**assembly.cut(prepared.storyboard, workspace, clips, tell=tell))
    remember(workspace, key, made)
    return made


def key_of(storyboard: Storyboard, clips: list[tuple[str, Take | None]]) -> str:
    """Names the film by what it is made of: the clips in order, the cut's settings, the music's bytes."""
    parts = []
    for scene_id, row in clips:
        scene = storyboard.scene(scene_id)
        clip = (row.clip or {}).get("sha256") if row else None
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


def describe(prepared: Prepared, planned: Plan, started: float, film: CutReport | None, error: str | None) -> RunReport:
    """The report of what is in the ledger."""
    simulated = prepared.request.simulate
    return report.build(
        prepared.storyboard,
        report.from_ledger(planned),
        run_id=uuid.uuid4().hex[:12],
        simulated=simulated,
        endpoint="simulator" if simulated else prepared.settings.endpoint,
        started_at=started,
        finished_at=time.time(),
        cut=film,
        cut_error=error,
        frames=_stills(planned, prepared.workspace),
    )


def _stills(planned: Plan, workspace: Workspace) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for scene in planned.scenes:
        for one in scene.takes:
            if one.row:
                files_ = (workspace.root / "frames" / one.row.scene).glob(f"take-{one.row.take}-*.png")
                prefix = f"take-{one.row.take}-"
                found[one.row.id] = {f.stem.removeprefix(prefix): workspace.relative(f) for f in sorted(files_)}
    return found
