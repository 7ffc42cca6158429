"""Opens a run: storyboard, workspace, ledger, client and store, together; and closes them again."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from storyreel import catalog as catalogs
from storyreel import manifest, plan
from storyreel.catalog import Catalog
from storyreel.client import Client
from storyreel.errors import StoryboardError, UsageError
from storyreel.inputs import needs_store, no_store
from storyreel.ledger import NO_CAPS, Ledger
from storyreel.ledger_rows import Caps, State
from storyreel.manifest.document import Cut, Policy
from storyreel.manifest.storyboard import FileImage, Storyboard
from storyreel.plan import Plan, Snapshot
from storyreel.session import Progress, Session
from storyreel.settings import Settings
from storyreel.settings import read as read_settings
from storyreel.store import open_store
from storyreel.workspace import Workspace

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

    @property
    def ledger_url(self) -> str:
        """A rehearsal has a ledger of its own, whatever the environment says."""
        if self.settings.database_url and not self.request.simulate:
            return self.settings.database_url
        if self.request.ledger:
            return f"sqlite:///{self.request.ledger.absolute()}"
        return f"sqlite:///{self.workspace.ledger_file}"

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
    folder = f"{storyboard.id}.simulated" if request.simulate else storyboard.id
    root = request.workspace or Path("runs") / folder
    prepared = Prepared(request, settings, catalog, storyboard, Workspace(root.absolute()), checked.warnings)
    for name in (*request.only, *request.force, *([request.start] if request.start else [])):
        known(prepared.storyboard, name)
    return prepared


def prepare_rescue(request: Request) -> list[Prepared]:
    """What `rescue` may be given: a storyboard, a workspace, or a folder of workspaces. A workspace needs no storyboard,
    so that a clip can be brought home whose storyboard is at fault, or gone. Rehearsals are left out.

    Raises:
        UsageError: there is nothing of that name, or the storyboard has errors.
    """
    place = request.storyboard
    if not place.is_dir():
        return [prepare(request)]
    settings = read_settings()
    catalog = catalogs.load(request.catalog or settings.catalog)

    def bare(name: str, root: Path, file: Path | None = None) -> Prepared:
        storyboard = Storyboard(name, name, root / "storyboard.yaml", (), None, Policy(), Cut())
        shared = file if file and file.parent != root else None
        return Prepared(
            dataclasses.replace(request, ledger=shared), settings, catalog, storyboard, Workspace(root.absolute()), ()
        )

    if settings.database_url:
        with contextlib.closing(Ledger(settings.database_url)) as ledger:
            names = ledger.storyboards()
        homes = (
            {p.name: p for p in (place / name for name in names) if p.is_dir()} | {place.name: place} | _homes(place)
        )
        return [bare(name, homes[name]) for name in names if name in homes]
    found = []
    for file in [place / "ledger.db"] if (place / "ledger.db").exists() else sorted(place.glob("*/ledger.db")):
        if file.parent.suffix == ".simulated":
            continue
        with contextlib.closing(Ledger.in_file(file)) as ledger:
            homes = _homes(file.parent)
            found += [bare(name, homes.get(name, file.parent), file) for name in ledger.storyboards()]
    if not found:
        raise UsageError(f"no ledger lies in {place}", fix="name a storyboard, a workspace, or the folder of your runs")
    return found


def _homes(place: Path) -> dict[str, Path]:
    """The workspaces at a folder and up to two below it (a batch's rows), by the storyboard whose results they hold."""
    found = {}
    for depth in ("*/*/", "*/", ""):
        for owner in place.glob(f"{depth}.storyboard"):
            if not any(part.endswith(".simulated") for part in owner.relative_to(place).parts):
                found[owner.read_text("utf-8")] = owner.parent
    return found


def known(storyboard: Storyboard, name: str) -> None:
    """Raises `UsageError` where the storyboard has no scene of that id."""
    ids = [scene.id for scene in storyboard.scenes]
    if name not in ids:
        from storyreel.manifest.faults import nearest

        guess = nearest(name, ids)
        hint = f"; did you mean `{guess}`?" if guess else ""
        raise UsageError(f"unknown scene `{name}`{hint}", fix=f"scenes here: {', '.join(ids[:20])}")


def snapshot(prepared: Prepared) -> Snapshot:
    """What is on disk and in the ledger now. Makes no ledger where there is none."""
    storyboard = prepared.storyboard
    digests = _digests(storyboard)
    if not prepared.has_ledger():
        return Snapshot(digests=digests)
    with contextlib.closing(Ledger(prepared.ledger_url)) as ledger:
        takes, retakes = ledger.takes(storyboard.id), ledger.retakes(storyboard.id)
    missing = frozenset(t.id for t in takes if t.state is State.COLLECTED and not _is_there(prepared.workspace, t.clip))
    return Snapshot(tuple(takes), missing, digests, retakes)


def _digests(storyboard: Storyboard) -> dict[str, str]:
    import hashlib

    found: dict[str, str] = {}
    for scene in storyboard.scenes:
        for _, image in scene.images:
            if isinstance(image, FileImage) and image.path not in found:
                found[image.path] = hashlib.sha256((storyboard.folder / image.path).read_bytes()).hexdigest()
    return found


def _is_there(workspace: Workspace, clip: dict[str, object] | None) -> bool:
    """Is the clip on disk as it was collected? Size and time are looked at first; the hash only where the time differs."""
    if not clip:
        return False
    path = workspace.root / str(clip["path"])
    try:
        facts = path.stat()
    except OSError:
        return False
    if facts.st_size != clip.get("bytes"):
        return False
    if facts.st_mtime_ns == clip.get("mtime_ns"):
        return True
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == clip.get("sha256")


def make_plan(prepared: Prepared, taken: Snapshot) -> Plan:
    """The plan of a request."""
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


def check_ready(prepared: Prepared, planned: Plan) -> None:
    """Refuse a run that could not send what it must, before anything is spent.

    Raises:
        UsageError: no key, or a picture that the API could not fetch.
    """
    if prepared.request.simulate or not planned.has_work:
        return
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


def check_agreed(agreed: str | None, planned: Plan) -> None:
    """Refuse a plan that is not the one whose price was agreed to; `agreed` is its `plan.agreement`, None if nobody asked.

    Raises:
        UsageError: it is another.
    """
    if agreed is not None and agreed != plan.agreement(planned):
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
        workspace.prepare(prepared.storyboard.id)
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
        ledger = Ledger(prepared.ledger_url)
        is_shared = request.ledger or (settings.database_url and not request.simulate)
        if is_shared:  # else the workspace's own lock is enough
            stack.enter_context(ledger.held(prepared.storyboard.id))
        await _settle(ledger, prepared, run_id)
        budget = prepared.storyboard.budget
        async with make_client(settings) as client:
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
            )
            session.stop_mark = ledger.stop_mark(session.account)
            try:
                yield session
            finally:
                await session.close()


async def _settle(ledger: Ledger, prepared: Prepared, run_id: str) -> None:
    """Before anything else: hold what an interrupted run left open, and set aside what is to be made again."""
    prepared.workspace.sweep()
    ledger.interrupted(prepared.storyboard.id, run_id)
    if prepared.request.force:
        ledger.supersede(prepared.storyboard.id, prepared.request.force)
