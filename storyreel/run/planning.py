"""The plan of a request: of what ledger and disk hold now, and of what other ledgers hold for
it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import uuid

from storyreel.ledger.gate import Ledger
from storyreel.ledger.rows import State
from storyreel.manifest.storyboard import FileImage, Storyboard
from storyreel.plan import make as plans
from storyreel.plan.make import Plan, Snapshot
from storyreel.run import elsewhere
from storyreel.run.request import Prepared


def snapshot(prepared: Prepared) -> Snapshot:
    """What is on disk and in the ledger now.

    Makes no ledger where there is none, and needs no right to write.
    """
    storyboard = prepared.storyboard
    digests = _digests(storyboard)
    if not prepared.has_ledger():
        return Snapshot(digests=digests)
    with elsewhere.readable(prepared.ledger_url, prepared.shared_as) as ledger:
        takes, retakes = ledger.takes(storyboard.id), ledger.retakes(storyboard.id)
    root = prepared.workspace.root
    missing = frozenset(
        t.id for t in takes if t.state is State.COLLECTED and not elsewhere.is_whole(root, t.clip)
    )
    return Snapshot(tuple(takes), missing, digests, retakes)


def _digests(storyboard: Storyboard) -> dict[str, str]:
    digests: dict[str, str] = {}
    for scene in storyboard.scenes:
        for _, image in scene.images:
            if isinstance(image, FileImage) and image.path not in digests:
                digests[image.path] = hashlib.sha256(
                    (storyboard.folder / image.path).read_bytes()
                ).hexdigest()
    return digests


def make_plan(prepared: Prepared, state: Snapshot) -> Plan:
    """The plan of a request.

    Before anything is paid for, the other ledgers of the project are looked through for it.
    """
    return _plan_all(prepared, state)[1]


def _plan_all(prepared: Prepared, state: Snapshot) -> tuple[Snapshot, Plan]:
    """The plan, and the snapshot that it was made of: with other ledgers, where something is to be
    paid for.
    """
    plan = _plan(prepared, state)
    if not plan.jobs or prepared.request.simulate:
        return state, plan
    others = elsewhere.search(
        prepared.project, prepared.request.storyboard, prepared.storyboard.id, _own(prepared)
    )
    state = dataclasses.replace(state, elsewhere=others)
    return state, _plan(prepared, state) if others else plan


def _own(prepared: Prepared) -> elsewhere.Own:
    return elsewhere.Own(
        prepared.workspace.root,
        prepared.ledger_url,
        prepared.shared_as,
        is_there=prepared.has_ledger(),
        is_batch=prepared.request.ledger is not None,
    )


def _plan(prepared: Prepared, state: Snapshot) -> Plan:
    request, storyboard = prepared.request, prepared.storyboard
    chosen: set[str] | None = None
    if request.only:
        chosen = plans.with_upstream(storyboard, request.only)
    if request.start:
        chosen = (chosen or set()) | plans.with_upstream(
            storyboard, plans.with_downstream(storyboard, [request.start])
        )
    return plans.make(
        storyboard,
        prepared.catalog,
        state,
        selected=chosen,
        force=request.force,
        slots=prepared.settings.max_in_flight,
    )


def plan_to_run(prepared: Prepared, ledger: Ledger, run_id: str) -> tuple[Snapshot, Plan]:
    """The plan of a run that holds the workspace: what is paid for elsewhere is taken over
    first.
    """
    state, plan = _plan_all(prepared, snapshot(prepared))
    taker = elsewhere.Taker(prepared.storyboard.id, ledger, prepared.workspace, run_id)
    if taker.take_over(plan.scenes):
        state, plan = _plan_all(prepared, snapshot(prepared))
    return state, plan


def take_over(prepared: Prepared, plan: Plan) -> Plan:
    """Take over what is paid for elsewhere where no run holds the workspace; the plan as it is
    then.
    """
    if not any(scene.takes_over for scene in plan.scenes):
        return plan
    with prepared.workspace.locked():
        prepared.workspace.require_owner(prepared.owner)
        prepared.workspace.prepare(prepared.owner)
        with contextlib.closing(prepared.open_ledger()) as ledger:
            return plan_to_run(prepared, ledger, uuid.uuid4().hex[:12])[1]
