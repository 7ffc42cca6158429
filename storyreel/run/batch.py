"""One storyboard, many films: a table whose every row gives the storyboard's variables other
values.
"""

from __future__ import annotations

import dataclasses
import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from storyreel.errors import StoryboardError, UsageError
from storyreel.manifest.document import slug
from storyreel.manifest.faults import Severity, counted
from storyreel.plan import money
from storyreel.plan.make import Plan, price
from storyreel.plan.make import agreement as agreed_to
from storyreel.report.model import RunReport
from storyreel.run import placing, planning
from storyreel.run.request import Prepared, Request
from storyreel.workspace import project as projects
from storyreel.workspace.folder import write_whole
from storyreel.workspace.settings import read as read_settings

KEY = "id"  # the column that names a row's film


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: its number as an editor shows it (the head is 1), its film's name, its
    variables.
    """

    number: int
    name: str
    variables: dict[str, str]


class BadRows(UsageError):
    """Rows that cannot be rendered; `lines` says each fault with its row and column."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(
            f"{len(lines)} fault{'s' * (len(lines) != 1)} in the rows:\n  " + "\n  ".join(lines),
            fix="correct them; nothing was sent",
        )
        self.lines = tuple(lines)


def folder_of(storyboard: Path, *, simulate: bool) -> Path:
    """Where a batch's results are, if no other folder is named: in the storyboard's project."""
    return (
        projects.find(storyboard, read_settings()).runs
        / f"{storyboard.stem}-batch{'.simulated' if simulate else ''}"
    )


def read(path: Path) -> list[Row]:
    """The rows of a .csv, .xlsx or .parquet file; every cell as text.

    Raises:
        UsageError: it cannot be read, or has no rows.
        BadRows: empty cells, or names that are there twice.
    """
    table = _table(path)
    columns = [str(name).strip() for name in table.columns]
    lines: list[str] = []
    rows: list[Row] = []
    for twice in [
        name for name, count in Counter(columns).items() if count > 1 or re.search(r"\.\d+$", name)
    ]:
        lines.append(f"column `{twice}` is there twice")
    for number, values in enumerate(table.itertuples(index=False, name=None), start=2):
        cells = {name: _text(value) for name, value in zip(columns, values, strict=True)}
        if not any(cells.values()):
            continue  # spreadsheets end in empty lines
        lines += [
            f"row {number}, column `{name}`: empty" for name, text in cells.items() if not text
        ]
        name = slug(cells.get(KEY) or str(number))
        if not name:
            lines.append(
                f"row {number}, column `{KEY}`: `{cells[KEY]}` gives no name; use letters "
                "a-z and digits"
            )
        rows.append(Row(number, name, cells))
    for name, count in Counter(row.name for row in rows if row.name).items():
        if count > 1:
            numbers = ", ".join(str(row.number) for row in rows if row.name == name)
            lines.append(f"rows {numbers}, column `{KEY}`: `{name}` is there {count} times")
    if lines:
        raise BadRows(lines)
    if not rows:
        raise UsageError(
            f"{path} has no rows", fix="add a line under the head; the head names the variables"
        )
    return rows


def prepare(
    template: Request, rows: Sequence[Row], folder: Path
) -> list[tuple[Row, Prepared, Plan]]:
    """Check every row's storyboard and plan it. Writes nothing.

    Raises:
        BadRows: some have faults: an unknown column, a missing still, a prompt that grew too long.
    """
    variables = _variables(template.storyboard)
    lines: list[str] = []
    unknown = sorted({name for row in rows for name in row.variables} - variables - {KEY})
    lines += [
        f"column `{name}`: the storyboard has no variable of that name; it has "
        f"{_quoted_list(variables)}"
        for name in unknown
    ]
    made: list[tuple[Row, Prepared, Plan]] = []
    for row in rows if not unknown else ():
        own = {name: text for name, text in row.variables.items() if name in variables}
        request = dataclasses.replace(
            template,
            variables={**template.variables, **own},
            name=f"{slug(template.storyboard.stem)[:40]}-{row.name}"[:63].rstrip("-"),
            workspace=folder / row.name,
            ledger=folder / "ledger.db",
        )
        try:
            prepared = placing.prepare(request)
        except StoryboardError as error:
            lines += [
                f"row {row.number}: {str(fault).splitlines()[0]}"
                for fault in error.faults
                if fault.severity is Severity.ERROR
            ]
            continue
        made.append((row, prepared, planning.make_plan(prepared, planning.snapshot(prepared))))
    if lines:
        raise BadRows(lines)
    return made


def check_budget(plans: Iterable[Plan], budget: Decimal | None) -> None:
    """Raises `UsageError` where one budget over all rows could not be kept."""
    money.check_limit(budget, "the budget of all rows")
    if budget is not None:
        money.currency_of(plans)


def cost(plans: Iterable[Plan]) -> dict[str, tuple[Decimal, Decimal]]:
    """(low, high) by currency, of all rows together."""
    total: dict[str, tuple[Decimal, Decimal]] = {}
    for plan in plans:
        for currency, (low, high) in plan.cost().items():
            had = total.get(currency, (Decimal(0), Decimal(0)))
            total[currency] = had[0] + low, had[1] + high
    return total


def agreement(plans: Iterable[Plan]) -> str:
    """Names all that the rows would pay for, as `plan.agreement` does for one."""
    return hashlib.sha256("".join(agreed_to(one) for one in plans).encode()).hexdigest()[:32]


def check_agreed(agreed: str | None, plans: Sequence[Plan]) -> None:
    """Refuse plans that are not those whose price was agreed to; see `checks.check_agreed`.

    Raises:
        UsageError: they are others.
    """
    if agreed is not None and agreed != agreement(plans):
        raise UsageError(
            "the storyboard, a picture, the table, or what the ledger holds changed "
            "after the price was agreed to; nothing "
            f"was sent. As it is now: {bill(plans)}",
            fix="run the same command again, and agree to the price as it is now",
        )


def bill(plans: Sequence[Plan]) -> str:
    """What all rows together would pay for: `2 films, 4 jobs, about 10.00 CNY`."""
    jobs = counted(sum(one.jobs for one in plans), "job")
    return (
        f"{counted(len(plans), 'film')}, {jobs}, about "
        f"{price(cost(plans), sum(one.unpriced for one in plans))}"
    )


def summarise(folder: Path, title: str, reports: Mapping[str, RunReport | None]) -> Path:
    """Write `summary.csv` and `summary.html` over all rows, by name; returns the page's path.

    None: that run never began.
    """
    import pandas

    frame = pandas.DataFrame([_line(name, report) for name, report in reports.items()])
    write_whole(folder / "summary.csv", frame.to_csv(index=False).encode())
    write_whole(folder / "summary.html", _page(title, frame).encode())
    return folder / "summary.html"


def _line(name: str, report: RunReport | None) -> dict[str, Any]:
    if report is None:
        return {"row": name, "status": "not run"}
    totals = report.totals
    return {
        "row": name,
        "status": report.status,
        "scenes": totals.scenes,
        **totals.counts,
        "spent": totals.spent_estimate,
        "currency": totals.currency,
        "stopped": report.stopped,
        "film": f"{name}/final.mp4" if report.cut else None,
        "report": f"{name}/report/report.html",
    }


def _page(title: str, frame: Any) -> str:
    def link(path: Any) -> str:
        return (
            f'<a href="{html.escape(path)}">{html.escape(path)}</a>'
            if isinstance(path, str)
            else ""
        )

    shown = {name: link for name in ("film", "report") if name in frame.columns}
    others = {
        name: lambda value: html.escape(str(value)) for name in frame.columns if name not in shown
    }
    table = frame.to_html(index=False, na_rep="", escape=False, formatters=others | shown, border=0)
    style = (
        ":root{color-scheme:light dark}body{font:15px/1.5 "
        "system-ui,sans-serif;margin:24px}div{overflow-x:auto}"
        "table{border-collapse:collapse}td,th{padding:4px "
        "10px;text-align:left;border-bottom:1px solid #8886}"
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{style}</style><h1>{html.escape(title)}</h1><div>{table}</div></html>\n"
    )


def _table(path: Path) -> Any:
    import pandas

    readers = {
        ".csv": lambda: pandas.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        ),
        ".xlsx": lambda: pandas.read_excel(path, dtype=str, keep_default_na=False),
        ".parquet": lambda: pandas.read_parquet(path),
    }
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path} is not a table", fix="give a .csv, .xlsx or .parquet file")
    try:
        return readers[path.suffix.lower()]()
    except ImportError as error:
        raise UsageError(
            f"{path.suffix} files need one more package", fix="pip install 'storyreel[tables]'"
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{path} cannot be read: {reason}", fix="check the path, and that it is a whole table"
        ) from error


def _text(value: Any) -> str:
    if value is None or value != value:  # a missing number is not equal to itself
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _variables(storyboard: Path) -> set[str]:
    from storyreel.manifest import source

    data = source.read(storyboard, str(storyboard)).data
    found = data.get("vars") if isinstance(data, dict) else None
    return {str(name) for name in found} if isinstance(found, dict) else set()


def _quoted_list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"
