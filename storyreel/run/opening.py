"""Opens a run: storyboard, workspace, ledger, client and store, together; and closes them again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from storyreel import manifest
from storyreel.api.client import Client
from storyreel.api.store import open_store
from storyreel.catalog import load as catalogs
from storyreel.catalog.load import Catalog
from storyreel.errors import StoryboardError, UsageError, WorkspaceError
from storyreel.ledger.gate import NO_CAPS, Ledger
from storyreel.ledger.rows import Caps, State
from storyreel.manifest.document import Cut, Policy
from storyreel.manifest.storyboard import FileImage, Storyboard
from storyreel.plan import make as plan
from storyreel.plan import money
from storyreel.plan.make import Plan, Snapshot
from storyreel.run import elsewhere
from storyreel.run.inputs import needs_store, no_store
from storyreel.run.session import Progress, Session
from storyreel.workspace import project as projects
from storyreel.workspace.folder import Owner, Workspace
from storyreel.workspace.settings import Settings
from storyreel.workspace.settings import read as read_settings

SIMULATED_KEY = "sk-simulated"
# The ledger's thread gives the interpreter up at each statement; by Python's own 5 ms it waits longer than it works.
SWITCH_S = 0.0005


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for: which storyboard, where, how much of it."""

    storyboard: Path
    workspace: Path | None = None
    simulate: bool = False
    speed: float = 60.0
    only: tuple[str, ...] = ()
    start: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    budget: Decimal | None = None
    force: tuple[str, ...] = ()
    accept_differences: bool = False  # go on where the first clip of a model is not what was asked for
    catalog: Path | None = None
    caps: Caps = NO_CAPS
    name: str | None = None  # instead of the storyboard's own id: one storyboard, many films (a batch)
    ledger: Path | None = None  # instead of the workspace's own ledger: shared by the films of a batch
    simulator: str | None = None  # the address of one that is running, for a rehearsal; else it starts its own


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that has been read and found sound; nothing is open yet."""

    request: Request
    settings: Settings
    catalog: Catalog
    storyboard: Storyboard
    workspace: Workspace
    warnings: tuple[manifest.Fault, ...]
    project: projects.Project
    note: str = ""  # where the results are, if that is not where one would look
    is_bare: bool = False  # a workspace without its storyboard

    @property
    def ledger_url(self) -> str:
        """A rehearsal has a ledger of its own, whatever the environment says."""
        if self.settings.database_url and not self.request.simulate:
            return self.settings.database_url
        if self.request.ledger:
            return f"sqlite:///{self.request.ledger.absolute()}"
        return f"sqlite:///{self.workspace.ledger_file}"

    @property
    def is_shared(self) -> bool:
        """Do other storyboards use the same ledger?"""
        return bool(self.request.ledger or (self.settings.database_url and not self.request.simulate))

    def is_owner(self) -> bool:
        """May the workspace hold this request's results?"""
        try:
            self.workspace.require_owner(self.owner)
        except WorkspaceError:
            return False
        return True

    @property
    def owner(self) -> Owner:
        """Whose results the workspace is to hold."""
        if self.is_bare:
            return self.workspace.owner() or Owner(self.storyboard.id, None, self.project.name, False)
        file = os.path.relpath(self.request.storyboard.absolute(), self.workspace.root)
        return Owner(self.storyboard.id, file, self.project.name, self.request.simulate)

    def open_ledger(self) -> Ledger:
        """The ledger, for writing. Only one that projects share tells them apart."""
        return Ledger(self.ledger_url, project=_project_of(self))

    def has_ledger(self) -> bool:
        """Is there anything to read yet?"""
        return not self.ledger_url.startswith("sqlite:///") or Path(self.ledger_url.removeprefix("sqlite:///")).exists()


def prepare(request: Request) -> Prepared:
    """Read settings, catalogue and storyboard. Writes nothing.

    Raises:
        UsageError: and its kin, for whatever is wrong.
    """
    settings = read_settings()
    catalog = catalogs.load(request.catalog or settings.catalog)
    checked = manifest.check(request.storyboard, catalog, request.variables)
    if checked.storyboard is None:
        raise StoryboardError(list(checked.faults))
    storyboard = checked.storyboard
    if request.name:
        storyboard = dataclasses.replace(storyboard, id=request.name)
    project = projects.find(request.storyboard, settings)
    prepared = _placed(request, settings, catalog, storyboard, checked.warnings, project)
    for name in (*request.only, *request.force, *([request.start] if request.start else [])):
        known(prepared.storyboard, name)
    return prepared


def _placed(
    request: Request,
    settings: Settings,
    catalog: Catalog,
    storyboard: Storyboard,
    warnings: tuple[manifest.Fault, ...],
    project: projects.Project,
) -> Prepared:
    """Find the workspace: the one that was named, that of the project, or one from an earlier version.

    Raises:
        WorkspaceError: it holds the results of another storyboard, or of another world.
    """
    folder = f"{storyboard.id}.simulated" if request.simulate else storyboard.id
    root = Path(os.path.normpath((request.workspace or project.runs / folder).absolute()))
    prepared = Prepared(request, settings, catalog, storyboard, Workspace(root), warnings, project)
    if request.workspace is None and settings.workspace is None and prepared.workspace.owner() is None:
        for runs in projects.older_places(request.storyboard):
            older = dataclasses.replace(prepared, workspace=Workspace(runs / folder))
            if older.workspace.owner() and older.is_owner():
                note = (
                    f"results are in {projects.shown(runs / folder)}, from an earlier version; "
                    f"move that folder to {projects.shown(root)} to keep all in the project"
                )
                return dataclasses.replace(older, note=note)
    prepared.workspace.require_owner(prepared.owner)
    _require_project(prepared)
    return prepared


def _require_project(prepared: Prepared) -> None:
    """Refuse a project that was renamed where its rows are told apart by its name: they would be paid for again."""
    there = _named_otherwise(prepared) if prepared.settings.database_url else None
    if there:
        raise UsageError(
            f"this storyboard's takes are in the shared ledger under the project `{there}`, not `{prepared.project.name}`",
            fix=f"export STORYREEL_PROJECT={shlex.quote(there)}, or put that name back into prefect.yaml",
        )


def _named_otherwise(prepared: Prepared) -> str | None:
    """The other name under which this project's folder has results: of the storyboard, else of one that lies beside it."""
    own, project = prepared.workspace.owner(), prepared.project
    if own and own.project:
        return own.project if own.project != project.name else None
    names = []
    for home in elsewhere.homes(project.runs).values():
        owner = Workspace(home).owner()
        file = (home / owner.file).resolve() if owner and owner.file else None
        if owner and owner.project and file and projects.find(file, prepared.settings).folder == project.folder:
            names.append(owner.project)
    return None if not names or project.name in names else names[0]


def prepare_rescue(request: Request) -> list[Prepared]:
    """What `rescue` may be given: a storyboard, a workspace, or a folder of workspaces. A workspace needs no storyboard,
    so that a clip can be fetched whose storyboard has errors, or is gone. Rehearsals are left out.

    With a shared ledger all of this project's storyboards in it are found, also where this machine has no folder of theirs.

    Raises:
        UsageError: there is nothing of that name, or the storyboard has errors.
    """
    place = request.storyboard
    settings = read_settings()
    if place.suffix or place.is_file():
        return [prepare(request)]
    project = projects.find(place if place.is_dir() else Path.cwd(), settings)
    found = _in_database(request, settings, project) if settings.database_url else _in_files(request, settings, project)
    if not found:
        raise UsageError(f"no ledger is in {place}", fix="name a storyboard, a workspace, or the folder of your runs")
    return found


def runs_here() -> list[Path]:
    """The folder of workspaces of the project that the current folder is in, and `runs` in the current folder."""
    here = projects.find(Path.cwd(), read_settings()).runs
    older = Path.cwd() / projects.RUNS
    return [here, older] if older != here and older.is_dir() else [here]


def _in_database(request: Request, settings: Settings, project: projects.Project) -> list[Prepared]:
    with elsewhere.readable(settings.database_url or "", project.name) as ledger:
        names = ledger.storyboards()
    place = request.storyboard
    homes = elsewhere.homes(project.runs) | (elsewhere.homes(place) if place.is_dir() else {})
    if place.is_dir() and Workspace(place).owner():  # one workspace: only what belongs into it
        names = [name for name in names if homes.get(name, project.runs).is_relative_to(place) or name == place.name]
    return [_bare(request, settings, project, name, homes.get(name, project.runs / name)) for name in names]


def _in_files(request: Request, settings: Settings, project: projects.Project) -> list[Prepared]:
    place = request.storyboard
    found = []
    for file in [place / "ledger.db"] if (place / "ledger.db").exists() else sorted(place.glob("*/ledger.db")):
        if file.parent.suffix == ".simulated":
            continue
        with elsewhere.readable(f"sqlite:///{file.absolute()}") as ledger:
            homes = elsewhere.homes(file.parent)
            for name in ledger.storyboards():
                root = homes.get(name, file.parent)
                shared = file if file.parent != root else None
                found.append(_bare(dataclasses.replace(request, ledger=shared), settings, project, name, root))
    return found


def _bare(request: Request, settings: Settings, project: projects.Project, name: str, root: Path) -> Prepared:
    """A workspace without its storyboard."""
    catalog = catalogs.load(request.catalog or settings.catalog)
    storyboard = Storyboard(name, name, root / "storyboard.yaml", (), None, Policy(), Cut())
    return Prepared(request, settings, catalog, storyboard, Workspace(root.absolute()), (), project, is_bare=True)


def known(storyboard: Storyboard, name: str) -> None:
    """Raises `UsageError` where the storyboard has no scene of that id."""
    ids = [scene.id for scene in storyboard.scenes]
    if name not in ids:
        from storyreel.manifest.faults import nearest

        guess = nearest(name, ids)
        hint = f"; did you mean `{guess}`?" if guess else ""
        raise UsageError(f"unknown scene `{name}`{hint}", fix=f"scenes here: {', '.join(ids[:20])}")


def snapshot(prepared: Prepared) -> Snapshot:
    """What is on disk and in the ledger now. Makes no ledger where there is none, and needs no right to write."""
    storyboard = prepared.storyboard
    digests = _digests(storyboard)
    if not prepared.has_ledger():
        return Snapshot(digests=digests)
    with elsewhere.readable(prepared.ledger_url, _project_of(prepared)) as ledger:
        takes, retakes = ledger.takes(storyboard.id), ledger.retakes(storyboard.id)
    root = prepared.workspace.root
    missing = frozenset(t.id for t in takes if t.state is State.COLLECTED and not elsewhere.is_whole(root, t.clip))
    return Snapshot(tuple(takes), missing, digests, retakes)


def _project_of(prepared: Prepared) -> str | None:
    """The name that tells this project's rows apart; None where the ledger is not shared between projects."""
    shared = prepared.settings.database_url and not prepared.request.simulate
    return prepared.project.name if shared else None


def _digests(storyboard: Storyboard) -> dict[str, str]:
    import hashlib

    found: dict[str, str] = {}
    for scene in storyboard.scenes:
        for _, image in scene.images:
            if isinstance(image, FileImage) and image.path not in found:
                found[image.path] = hashlib.sha256((storyboard.folder / image.path).read_bytes()).hexdigest()
    return found


def make_plan(prepared: Prepared, taken: Snapshot) -> Plan:
    """The plan of a request. Before anything is paid for, the other ledgers of the project are looked through for it."""
    return _planned(prepared, taken)[1]


def _planned(prepared: Prepared, taken: Snapshot) -> tuple[Snapshot, Plan]:
    planned = _plan(prepared, taken)
    if not planned.jobs or prepared.request.simulate:
        return taken, planned
    found = elsewhere.search(prepared.project, prepared.request.storyboard, prepared.storyboard.id, _own(prepared))
    taken = dataclasses.replace(taken, elsewhere=found)
    return taken, _plan(prepared, taken) if found else planned


def _own(prepared: Prepared) -> elsewhere.Own:
    return elsewhere.Own(
        prepared.workspace.root,
        prepared.ledger_url,
        _project_of(prepared),
        is_there=prepared.has_ledger(),
        is_batch=prepared.request.ledger is not None,
    )


def _plan(prepared: Prepared, taken: Snapshot) -> Plan:
    request, storyboard = prepared.request, prepared.storyboard
    chosen: set[str] | None = None
    if request.only:
        chosen = plan.with_upstream(storyboard, request.only)
    if request.start:
        chosen = (chosen or set()) | plan.with_upstream(storyboard, plan.with_downstream(storyboard, [request.start]))
    return plan.make(
        storyboard,
        prepared.catalog,
        taken,
        selected=chosen,
        force=request.force,
        slots=prepared.settings.max_in_flight,
    )


def plan_to_run(prepared: Prepared, ledger: Ledger, run_id: str) -> tuple[Snapshot, Plan]:
    """The plan of a run that holds the workspace: what is paid for elsewhere is taken over first."""
    taken, planned = _planned(prepared, snapshot(prepared))
    taker = elsewhere.Taker(prepared.storyboard.id, ledger, prepared.workspace, run_id)
    if taker.take_over(planned.scenes):
        taken, planned = _planned(prepared, snapshot(prepared))
    return taken, planned


def take_over(prepared: Prepared, planned: Plan) -> Plan:
    """Take over what is paid for elsewhere where no run holds the workspace; the plan as it is then."""
    if not any(scene.takes_over for scene in planned.scenes):
        return planned
    with prepared.workspace.locked():
        prepared.workspace.require_owner(prepared.owner)
        prepared.workspace.prepare(prepared.owner)
        with contextlib.closing(prepared.open_ledger()) as ledger:
            return plan_to_run(prepared, ledger, uuid.uuid4().hex[:12])[1]


def check_ready(prepared: Prepared, planned: Plan) -> None:
    """Refuse a run that could not send what it must, before anything is spent.

    Raises:
        UsageError: no key, a picture that the API could not fetch, or a budget that cannot be kept.
    """
    budget_currency(prepared, planned)
    if prepared.request.simulate or not planned.has_work:
        return
    if planned.jobs:
        _require_lasting(prepared)
    if prepared.settings.api_key is None:
        raise UsageError(
            "OPENAI_API_KEY is not set", fix="export OPENAI_API_KEY=…, or rehearse for nothing with --simulate"
        )
    if open_store_is_missing(prepared.settings):
        scene = first_to_publish(
            prepared.storyboard, prepared.catalog, {p.scene.id for p in planned.scenes if p.to_make}
        )
        if scene:
            raise no_store(scene)


# Prefect's process worker runs what a deployment pulls in a folder that it deletes after the run.
_PASSING = re.compile(r"^tmp.*prefect$|^runner_storage$")


def _require_lasting(prepared: Prepared) -> None:
    """Refuse to pay where ledger or clips would be deleted with the run's temporary folder.

    Raises:
        UsageError: they would.
    """
    places = [prepared.workspace.root]
    if prepared.ledger_url.startswith(elsewhere.SQLITE):
        places.append(Path(prepared.ledger_url.removeprefix(elsewhere.SQLITE)))
    temporary = Path(tempfile.gettempdir()).resolve()
    for place in places:
        if place.resolve().is_relative_to(temporary):
            top = place.resolve().relative_to(temporary).parts[:1]
            if top and _PASSING.match(top[0]):
                raise UsageError(
                    f"results would be in {place}, a folder that Prefect's worker deletes after this run: "
                    "each run would pay again",
                    fix="set STORYREEL_WORKSPACE to a folder that stays, in the worker's environment, "
                    "or pull with set_working_directory",
                )


def budget_currency(prepared: Prepared, planned: Plan) -> str | None:
    """The currency of the budgets of a request; None where there are none, or nothing is to be paid for.

    Raises:
        UsageError: they cannot be held against the prices of the plan.
    """
    request, board = prepared.request, prepared.storyboard.budget
    limits = {
        "--budget": request.budget,
        "budget_per_run": request.caps.per_run,
        "budget_per_day": request.caps.per_day,
        "the storyboard's budget": board.limit if board else None,
    }
    for name, limit in limits.items():
        money.check_limit(limit, name)
    if all(limit is None for limit in limits.values()):
        return None
    return money.currency_of([planned], board.currency if board else None)


def check_agreed(agreed: str | None, planned: Plan) -> None:
    """Refuse a plan that is not the one whose price was agreed to; `agreed` is its `plan.agreement`, None if nobody asked.

    Raises:
        UsageError: it is another.
    """
    if agreed is not None and not plan.keeps_to(planned, agreed):
        raise UsageError(
            "the storyboard, one of its pictures, or what the ledger holds changed after the price was agreed to; "
            f"nothing was sent. As it is now: {plan.bill(planned)}",
            fix="run the same command again, and agree to the price as it is now",
        )


def open_store_is_missing(settings: Settings) -> bool:
    return settings.store is None and not settings.is_local


def first_to_publish(storyboard: Storyboard, catalog: Catalog, among: Iterable[str]) -> str | None:
    """The first scene among these whose pictures must be published, or None."""
    chosen = set(among)
    for scene in storyboard.scenes:
        if scene.id in chosen and needs_store(scene, catalog.models[scene.model].image):
            return scene.id
    return None


def simulator(request: Request, settings: Settings, root: Path) -> contextlib.AbstractContextManager[str]:
    """The simulator of a rehearsal in that folder; its jobs stay there over runs. Yields its address."""
    from storyreel.simulator.serve import rehearsal

    return rehearsal(root / ".simulator", request.speed, request.catalog or settings.catalog)


@asynccontextmanager
async def open_session(
    prepared: Prepared,
    run_id: str,
    tell: Callable[[Progress], None] = lambda progress: None,
    *,
    make_client: Callable[[Settings], Client] = Client,
) -> AsyncIterator[Session]:
    """Open everything, in an order in which each thing closes after those that need it.

    Raises:
        RunLocked: another run works on this workspace.
        WorkspaceError: a folder or the ledger cannot be used.
    """
    request, workspace = prepared.request, prepared.workspace
    sys.setswitchinterval(SWITCH_S)
    with contextlib.ExitStack() as stack:
        stack.enter_context(workspace.locked())
        workspace.require_owner(prepared.owner)
        workspace.prepare(prepared.owner)
        prepared.project.remember(workspace.root)
        settings = prepared.settings
        if request.simulate:
            address = request.simulator or stack.enter_context(simulator(request, settings, workspace.root))
            settings = settings.model_copy(
                update={
                    "base_url": address,
                    "api_key": SecretStr(SIMULATED_KEY),
                    "store": None,
                    "time_scale": 1 / request.speed,
                }
            )
        ledger = prepared.open_ledger()
        if prepared.is_shared:  # else the workspace's own lock is enough
            stack.enter_context(ledger.held(prepared.storyboard.id))
        prepared.workspace.sweep()
        ledger.interrupted(prepared.storyboard.id, run_id)
        budget = prepared.storyboard.budget
        async with make_client(settings) as client:
            if not prepared.request.simulate:  # the simulator is of OpenAI's own shape
                client.endpoint = prepared.catalog.endpoint
            session = Session(
                storyboard=prepared.storyboard,
                catalog=prepared.catalog,
                settings=settings,
                workspace=workspace,
                ledger=ledger,
                client=client,
                store=open_store(settings),
                run_id=run_id,
                budget=request.budget if request.budget is not None else (budget.limit if budget else None),
                currency=budget.currency if budget else None,
                caps=request.caps,
                tell=tell,
                simulated=request.simulate,
                accept_differences=request.accept_differences,
            )
            session.stop_mark = ledger.stop_mark(session.account)
            try:
                yield session
            finally:
                await session.close()
