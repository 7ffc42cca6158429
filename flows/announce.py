"""What Prefect's UI shows of a run besides its graph: the plan before, the report after."""

from __future__ import annotations

from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

from storyreel.plan import Plan
from storyreel.report import RunReport

MAX_ROWS = 500


def summary(report: RunReport) -> str:
    """One line that counts."""
    totals = report.totals
    counts = {n: getattr(totals, n) for n in ("completed", "reused", "failed", "blocked", "held", "skipped")}
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{totals.scenes} scenes: {words}; about {totals.spent_estimate} {totals.currency or ''} spent".rstrip()


async def plan_table(plan: Plan) -> None:
    """The plan with its prices, as a table artifact."""
    rows = [
        {
            "scene": planned.scene.id,
            "action": str(planned.action),
            "why": planned.reason,
            "model": planned.scene.model,
            "takes to make": planned.to_make,
            "price": str(planned.price.high * planned.to_make) if planned.price and planned.to_make else "",
        }
        for planned in plan.scenes[:MAX_ROWS]
    ]
    await acreate_table_artifact(
        key=f"plan-{plan.storyboard.id}", table=rows, description=f"Plan of {plan.storyboard.title}"
    )


async def report_markdown(report: RunReport) -> None:
    """The report as a markdown artifact; it links to nothing that only this machine has."""
    lines = [f"# {_cell(report.title)}", "", summary(report), ""]
    if report.stopped:
        lines += [f"**Stopped:** {_cell(report.stopped)}", ""]
    lines += ["| scene | take | status | why | waited s | estimate |", "|---|---|---|---|---|---|"]
    for s in report.scenes[:MAX_ROWS]:
        waited = "" if s.timing.waited_s is None else s.timing.waited_s
        lines.append(
            f"| {s.id} | {s.take or ''} | {s.status} | {_cell(s.reason)} | {waited} | {s.price.estimate or ''} |"
        )
    await acreate_markdown_artifact(
        key=f"report-{report.storyboard}", markdown="\n".join(lines), description=summary(report)
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
