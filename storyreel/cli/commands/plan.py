"""`storyreel plan`: show what would run, why, and for how much."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from storyreel.catalog.dialect import Paths
from storyreel.cli.complaint import said
from storyreel.cli.request import prepare
from storyreel.manifest.faults import counted
from storyreel.plan.model import Action, Plan, ScenePlan
from storyreel.plan.money import price
from storyreel.plan.request import REMIX_OF
from storyreel.run import planning
from storyreel.run.request import Prepared


def run(args: argparse.Namespace) -> int:
    """Print the plan. Send nothing; write nothing but the animatic of --animatic."""
    prepared = prepare(args)
    for fault in prepared.warnings:
        print(fault, file=sys.stderr)
    planned = planning.make_plan(prepared, planning.snapshot(prepared))
    if args.json:
        print(json.dumps(as_json(planned), ensure_ascii=False, indent=1))
        return 0
    if args.animatic:
        _animatic(prepared)
    _table(planned)
    if args.show_requests:
        for one in planned.scenes:
            if one.to_make:
                body = json.dumps(request_of(one), ensure_ascii=False, indent=1)
                print(f"\n{one.scene.id}: {_address(one, prepared.catalog.endpoint.paths)}\n{body}")
    return 0


def _animatic(prepared: Prepared) -> None:
    from storyreel.cli.display import cutting
    from storyreel.film import assembly

    with cutting() as tell:
        film = assembly.animatic(prepared.storyboard, prepared.workspace, tell=tell)
    print(f"animatic: {os.path.relpath(prepared.workspace.animatic)} ({film.duration_s} s)\n")


def request_of(planned: ScenePlan) -> dict[str, Any]:
    """Return the request that would be sent, with the origin of each picture in its place."""
    return planned.request.shown("<{}>")


def _address(planned: ScenePlan, paths: Paths) -> str:
    if planned.scene.remix:
        return f"POST {paths.remix.replace('{id}', f'<{planned.inputs[REMIX_OF].label}>')}"
    return f"POST {paths.create}"


def as_json(planned: Plan) -> dict[str, Any]:
    """Return the whole plan as plain data. Amounts of money are strings."""
    return {
        "storyboard": planned.storyboard.id,
        "scenes": [
            {
                "id": one.scene.id,
                "action": str(one.action),
                "reason": one.reason,
                "blocked_by": one.blocked_by,
                "key": one.key,
                "upstream": list(one.scene.upstream),
                "model": one.scene.model,
                "mode": one.scene.mode,
                "fallback": [{"model": model, "mode": mode} for model, mode in one.scene.fallback],
                "seconds": one.scene.seconds,
                "size": one.scene.size,
                "prompt": one.scene.prompt,
                "inputs": {role: given.label for role, given in one.inputs.items()},
                "takes": [
                    {
                        "action": str(t.action),
                        "reason": t.reason,
                        "take": t.row.take if t.row else None,
                    }
                    for t in one.takes
                ],
                "to_make": one.to_make,
                "price": {
                    "low": str(one.cost.low),
                    "high": str(one.cost.high),
                    "currency": one.cost.currency,
                }
                if one.cost
                else None,
                "expected_wait_s": list(one.wait_s),
                "request": request_of(one) if one.to_make else None,
            }
            for one in planned.scenes
        ],
        "totals": {
            "jobs": planned.jobs,
            "price": {
                c: {"low": str(low), "high": str(high)} for c, (low, high) in planned.cost().items()
            },
            "expected_s": list(planned.expected_s),
        },
        "critical_path": list(planned.critical_path),
    }


def _table(planned: Plan) -> None:
    width = max((len(p.scene.id) for p in planned.scenes), default=5)
    for one in planned.scenes:
        if one.action is Action.SKIP:
            continue
        amount = f"{one.cost.high} {one.cost.currency}" if one.cost and one.to_make else ""
        takes = f" x{one.to_make}" if one.to_make > 1 else ""
        print(
            f"{one.scene.id:<{width}}  {str(one.action) + takes:<16} {amount:>10}  "
            f"{said(one.action, one.reason)}"
        )
    print()
    costs = f": {price(planned.cost(), planned.unpriced)}" if planned.jobs else ""
    print(
        f"{counted(planned.jobs, 'job')} to pay for{costs}{' (list prices)' * bool(planned.cost())}"
    )
    if planned.critical_path:
        low, high = planned.expected_s
        print(
            f"expected: {low / 60:.0f} to {counted(high / 60, 'minute')}; critical path: "
            f"{' > '.join(planned.critical_path)}"
        )
        _sooner(planned)


def _sooner(planned: Plan) -> None:
    """Print the time that shared keyframes save over a chain."""
    shared: dict[str, list[str]] = {}
    for one in planned.scenes:
        for given in one.inputs.values():
            if given.keyframe:
                shared.setdefault(given.keyframe, []).append(one.scene.id)
    linked = {scene for scenes in shared.values() if len(scenes) > 1 for scene in scenes}
    making = [
        p for p in planned.scenes if p.scene.id in linked and p.to_make and not p.scene.upstream
    ]
    if len(making) > 1:
        chain = sum(p.wait_s[1] for p in making) / 60
        longest = max(p.wait_s[1] for p in making) / 60
        print(
            f"shared keyframes let {len(making)} scenes run side by side: "
            f"{counted(longest, 'minute')} instead of {chain:.0f} as a chain"
        )
