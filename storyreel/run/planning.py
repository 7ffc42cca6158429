"""The plan of a request: of what ledger and disk hold now, and of what other ledgers hold for it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import uuid

from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import State
from storyreel.manifest.storyboard import FileImage, Storyboard
from storyreel.plan import make as plan
from storyreel.plan.make import Plan, Snapshot
from storyreel.run import elsewhere
from storyreel.run.request import Prepared


def snapshot(prepared: Prepared) -> Snapshot:
    """What is on disk and in the ledger now. Makes no ledger where there is none, and needs no right to write."""
    storyboard = prepared.storyboard
    digests = _digests(storyboard)
    if not prepared.has_ledger():
        return Snapshot(digests=digests)
    with elsewhere.readable(prepared.ledger_url, prepared.shared_as) as ledger:
        takes, retakes = ledger.takes(storyboard.id), ledger.retakes(storyboard.id)
    root = prepared.workspace.root
    missing = frozenset(t.id for t in takes if t.state is State.COLLECTED and not elsewhere.is_whole(root, t.clip))
    return Snapshot(tuple(takes), missing, digests, retakes)


def _digests(storyboard: Storyboard) -> dict[str, str]:
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
        prepared.shared_as,
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
