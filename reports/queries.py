"""The reads of allocations behind pages, mails and exports: one function each, on one snapshot, within a reader's scope."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources

from duckdb import DuckDBPyConnection

from attribution.queries import Cells, incomplete
from finops.core import spans, warehouse
from finops.core.datasets import COUNTS, KEYS
from finops.core.periods import next_month, parse_month
from finops.core.results import cached
from reports.figures import Figures
from reports.selection import Selection, Span

PERIOD_OF_DAY = {
    "day": "strftime(day, '%Y-%m-%d')",
    "month": "strftime(day, '%Y-%m')",
}
_PERIOD = {
    **PERIOD_OF_DAY,
    "hour": "strftime(hour, '%Y-%m-%dT%H:%M:%SZ')",
}
OTHERS = "\x00"  # in the place of a key's value: all that are not told apart; no text holds it
# The same in two steps: rows are gathered by a moment, which is written as text once for each.
_MOMENT = {"day": "day", "month": "date_trunc('month', day)", "hour": "hour"}
_SHOWN = {
    grain: text.replace("(day", "(moment").replace("(hour", "(moment") for grain, text in _PERIOD.items()
}


@cache
def sql(name: str) -> str:
    """The text of reports/sql/<name>.sql."""
    return resources.files("reports").joinpath(f"sql/{name}.sql").read_text()


@dataclass(frozen=True)
class _Read:
    """The parts of a query that are the selection's, with their parameters."""

    period: str
    costs: str
    served: str
    where: str
    in_period: str
    in_month: str
    parameters: dict[str, object]


def _read(selection: Selection, snapshot: int, by: Collection[str], *, reasons: bool = False) -> _Read:
    """To be grouped by these: keys, and `period` where the selection's grain matters; costs by their `reasons` too."""
    by_period = "period" in by
    named = {*by, *selection.where, *({"team"} if selection.scope.teams is not None else ())}
    columns = [key for key in KEYS if key in named]
    bill = ["billing_period"] if selection.billing_period else []
    of_costs = [*columns, "cost_type", *(["reason"] if reasons else []), *bill, "cost"]
    of_served = [*columns, *COUNTS]
    span = (selection.start, selection.end)
    if selection.grain == "hour" and by_period:
        costs, served = (
            spans.Rows(f"({warehouse.rows_of(dataset, files, ['day', 'hour', *names])})", tuple(files))
            for dataset, names in (("allocations", of_costs), ("request_hours", of_served))
            for files in [warehouse.files(dataset, snapshot, touching=span)]
        )
    else:
        months = selection.grain == "month" or not by_period
        costs, served = (
            spans.rows(dataset, names, *span, snapshot, whole_months=months)
            for dataset, names in (("allocation_days", of_costs), ("request_days", of_served))
        )
    parameters: dict[str, object] = {"start": selection.start, "end": selection.end}
    where = ""
    for key, wanted in selection.where.items():
        where += _among(key, wanted)
    if selection.scope.teams is not None:
        where += _among("team", sorted(selection.scope.teams))
    in_period = in_month = ""
    if selection.billing_period:
        month = parse_month(selection.billing_period)
        parameters |= {
            "billing_period": selection.billing_period,
            "month": month,
            "month_end": next_month(month),
        }
        in_period, in_month = "and billing_period = $billing_period", "and day >= $month and day < $month_end"
    return _Read(
        _PERIOD[selection.grain],
        costs.text,
        served.text,
        where,
        in_period,
        in_month,
        parameters,
    )


def _among(column: str, values: Iterable[str]) -> str:
    """The condition that a text column has one of the values, as literals: files that hold none of them are skipped."""
    literals = _literals(values)
    return f" and {column} in ({literals})" if literals else " and false"


def _literals(values: Iterable[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def load_allocations(con: DuckDBPyConnection, selection: Selection, snapshot: int | None = None) -> None:
    """Make the temporary table `allocated`, which every export of allocations reads."""
    snapshot = warehouse.latest() if snapshot is None else snapshot
    read = _read(selection, snapshot, ("period", *selection.by), reasons=True)
    query = sql("allocations").format(
        period=read.period,
        keys="".join(f"{key}, " for key in selection.by),
        where=read.where,
        billing_period=read.in_period,
        month=read.in_month,
        allocations=read.costs,
        requests=read.served,
    )
    con.execute(f"create or replace temp table allocated as {query}", read.parameters)


def figures_by(
    selection: Selection,
    columns: tuple[str, ...],
    snapshot: int | None = None,
    apart: Sequence[str] | None = None,
) -> Mapping[tuple[str, ...], Figures]:
    """Figures of the selection by `period`, by keys that it names in `by`, or both.

    `apart`: of its key these values alone are told apart, all others are OTHERS.
    Others may be given the same object: it is not to be changed.
    """
    snapshot = warehouse.latest() if snapshot is None else snapshot
    read = _read(selection, snapshot, columns)
    keys = [column for column in columns if column != "period"]
    query = sql("figures").format(
        period=f"{_SHOWN[selection.grain]} as period, " if "period" in columns else "",
        moment=f"{_MOMENT[selection.grain]} as moment, " if "period" in columns else "",
        keys="".join(f"{key}, " for key in keys),
        gathered="".join(f"{_told_apart(key, apart)}, " for key in keys),
        allocations=read.costs,
        requests=read.served,
        where=read.where,
        billing_period=read.in_period,
        month=read.in_month,
    )

    def compute() -> dict[tuple[str, ...], Figures]:
        with warehouse.reading() as con:
            rows = con.execute(query, read.parameters).fetchall()
        width = len(columns)
        return {
            tuple(OTHERS if value is None else value for value in row[:width]): Figures(*row[width:])
            for row in rows
        }

    told = (
        columns,
        None if apart is None else tuple(apart),
        selection.grain,
        read.where,
        repr(sorted(read.parameters.items())),
    )
    return cached("figures", content(selection, snapshot), told, compute)


def _told_apart(key: str, values: Sequence[str] | None) -> str:
    if values is None:
        return key
    return f"case when {key} in ({_literals(values)}) then {key} end as {key}" if values else f"null as {key}"


def content(selection: Selection, snapshot: int) -> str:
    """What tells one state of the allocations and requests selected from another."""
    datasets = ["allocation_days", "request_days"]
    if selection.grain == "hour":
        datasets += ["allocations", "request_hours"]
    return spans.content(datasets, selection.start, selection.end, snapshot)


def newest_day(snapshot: int | None = None) -> date | None:
    """The last UTC day that is attributed."""
    days = [file.last_day for file in warehouse.files("allocation_days", snapshot) if file.last_day]
    return max(days, default=None)


def cost_by_day(span: Span, cells: Cells, snapshot: int | None = None) -> dict[date, Decimal]:
    """What the chosen allocations cost on each day, as they were published at a snapshot, by default today."""
    snapshot = warehouse.latest() if snapshot is None else snapshot
    dataset, columns, cost, condition = "allocation_days", (*cells.columns, "cost"), "cost", cells.sql
    parameters: dict[str, object] = {"start": span.start, "end": span.end, **cells.values}
    if resource := cells.wanted("resource_id"):
        dataset, columns = "unit_windows", ("resource_id", "usage_cost", "idle_cost")
        cost, condition = "usage_cost + idle_cost", "list_contains($resources::varchar[], resource_id)"
        parameters["resources"] = list(resource)
    read = spans.rows(dataset, dict.fromkeys(columns), span.start, span.end, snapshot)
    query = sql("cost_by_day").format(allocations=read.text, cost=cost, where=condition)

    def compute() -> dict[date, Decimal]:
        with warehouse.reading() as con:
            return dict(con.execute(query, parameters).fetchall())

    now = spans.content([dataset], span.start, span.end, snapshot)
    return dict(cached("cost by day", now, (condition, repr(sorted(parameters.items()))), compute))


def incomplete_days(span: Span) -> dict[date, str]:
    """Days attributed before their bill or logs were all there, with what is missing."""
    return incomplete(span.start, span.end)
