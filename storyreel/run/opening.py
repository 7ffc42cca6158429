"""Opens what a run needs: workspace, ledger, client and store, together; and closes them again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from storyreel.api.client import Client
from storyreel.api.store import open_store
from storyreel.ledger.gate import Ledger
from storyreel.run.first_look import FirstLook
from storyreel.run.request import Prepared, Request
from storyreel.run.session import MEDIA_AT_ONCE, Executors, Money, Progress, Session
from storyreel.workspace.settings import Settings
from storyreel.workspace.workers import Workers

SIMULATED_KEY = "sk-simulated"


# The ledger's thread gives the interpreter up at each statement; by Python's own 5 ms it waits
# longer than it works.
SWITCH_S = 0.0005


def simulator(
    request: Request, settings: Settings, root: Path
) -> contextlib.AbstractContextManager[str]:
    """The simulator of a rehearsal in that folder; its jobs stay there over runs.

    Yields its address.
    """
    from storyreel.simulator.serve import rehearsal

    return rehearsal(root / ".simulator", request.speed, request.catalog or settings.catalog)


@asynccontextmanager
async def open_session(
    prepared: Prepared,
    run_id: str,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    *,
    make_client: Callable[[Settings], Client] = Client,
    make_workers: Callable[[int], Workers] = Workers,
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
            address = request.simulator or stack.enter_context(
                simulator(request, settings, workspace.root)
            )
            settings = _rehearsing(settings, address, request.speed)
        ledger = prepared.open_ledger()
        if prepared.is_shared:  # else the workspace's own lock is enough
            stack.enter_context(ledger.held(prepared.storyboard.id))
        prepared.workspace.sweep()
        ledger.interrupted(prepared.storyboard.id, run_id)
        async with make_client(settings) as client:
            if not prepared.request.simulate:  # the simulator is of OpenAI's own shape
                client.endpoint = prepared.catalog.endpoint
            executors = Executors(processes=make_workers(MEDIA_AT_ONCE))
            session = _session(prepared, settings, ledger, client, run_id, executors)
            session.on_progress = on_progress
            session.stop_mark = ledger.stop_mark(session.account)
            try:
                yield session
            finally:
                await session.close()


def _rehearsing(settings: Settings, address: str, speed: float) -> Settings:
    """The settings of a rehearsal on the simulator at this address."""
    key = SecretStr(SIMULATED_KEY)
    return settings.model_copy(
        update={"base_url": address, "api_key": key, "store": None, "time_scale": 1 / speed}
    )


def _session(
    prepared: Prepared,
    settings: Settings,
    ledger: Ledger,
    client: Client,
    run_id: str,
    executors: Executors,
) -> Session:
    """Return the session of a request, with its limits."""
    request, budget = prepared.request, prepared.storyboard.budget
    limit = request.budget if request.budget is not None else (budget.limit if budget else None)
    money = Money(limit, budget.currency if budget else None, request.caps)
    return Session(
        storyboard=prepared.storyboard,
        catalog=prepared.catalog,
        settings=settings,
        workspace=prepared.workspace,
        ledger=ledger,
        client=client,
        store=open_store(settings),
        run_id=run_id,
        money=money,
        executors=executors,
        simulated=request.simulate,
        first_look=FirstLook(accept_differences=request.accept_differences),
    )
