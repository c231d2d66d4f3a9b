"""The reads behind the pages and exports: one function each, on one snapshot, within a reader's scope."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from importlib import resources
from typing import Literal, get_args
from urllib.parse import unquote, urlencode

from duckdb import DuckDBPyConnection

from attribution.queries import Cells, incomplete
from finops.core import spans, warehouse
from finops.core.access import EVERYTHING, Scope
from finops.core.datasets import COUNTS, KEYS
from finops.core.errors import UsageError
from finops.core.periods import next_month, parse_month, previous_month
from finops.core.results import cached
from ingest.queries import freshness

Grain = Literal["hour", "day", "month"]
GRAINS: tuple[Grain, ...] = get_args(Grain)
PERIOD_OF_DAY = {
    "day": "strftime(day, '%Y-%m-%d')",
    "month": "strftime(day, '%Y-%m')",
}
_PERIOD = {
    **PERIOD_OF_DAY,
    "hour": "strftime(hour, '%Y-%m-%dT%H:%M:%SZ')",
}
ALL = "\x00"  # in the place of a period or a key's value: the sum over all of them; no text holds it
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
class Selection:
    """Which allocations, and how finely: the UTC days [start, end), by these keys.

    `billing_period` keeps the costs of one bill, and the requests of its calendar month: a request has
    no bill, and so it is counted in one billing period and not in two.
    """

    start: date
    end: date
    grain: Grain = "day"
    by: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    billing_period: str = ""
    scope: Scope = EVERYTHING

    def __post_init__(self) -> None:
        for key in (*self.by, *self.where):
            if key not in KEYS:
                raise UsageError(f"{key!r} is not a key: expected {', '.join(KEYS)}")
        if len(set(self.by)) < len(self.by):
            raise UsageError("a key is named twice")
        if self.grain not in GRAINS:
            raise UsageError(f"{self.grain!r} is not a grain: expected {', '.join(GRAINS)}")
        if self.start >= self.end:
            raise UsageError(f"{self.start} to {self.end} holds no day: the end is not included")


@dataclass(frozen=True)
class _Read:
    """The parts of a query that are the selection's, with their parameters and the hashes of the files they read."""

    period: str
    costs: str
    served: str
    where: str
    in_period: str
    in_month: str
    parameters: dict[str, object]


def _read(
    selection: Selection, snapshot: int, by: Collection[str], values: tuple[str, ...] | None = None
) -> _Read:
    """To be grouped by these: keys, and `period` where the selection's grain matters."""
    by_period = "period" in by
    named = {*by, *selection.where, *({"team"} if selection.scope.teams is not None else ())}
    columns = [key for key in KEYS if key in named]
    bill = ["billing_period"] if selection.billing_period else []
    of_costs, of_served = [*columns, "cost_type", "reason", *bill, "cost"], [*columns, *COUNTS]
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
    if values is not None:
        where += _among(selection.by[0], values)
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
    literals = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f" and {column} in ({literals})" if literals else " and false"


def load_allocations(con: DuckDBPyConnection, selection: Selection, snapshot: int | None = None) -> None:
    """Make the temporary table `allocated`, which every export of allocations reads."""
    snapshot = warehouse.latest() if snapshot is None else snapshot
    read = _read(selection, snapshot, ("period", *selection.by))
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


@dataclass(frozen=True)
class Figures:
    """Costs by type beside what was served; unit costs are None where nothing was."""

    usage: Decimal = Decimal(0)
    idle: Decimal = Decimal(0)
    shared: Decimal = Decimal(0)
    unallocated: Decimal = Decimal(0)
    requests: int = 0
    failed_requests: int = 0
    cached_requests: int = 0
    predictions: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.usage + other.usage,
            self.idle + other.idle,
            self.shared + other.shared,
            self.unallocated + other.unallocated,
            self.requests + other.requests,
            self.failed_requests + other.failed_requests,
            self.cached_requests + other.cached_requests,
            self.predictions + other.predictions,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    @property
    def cost(self) -> Decimal:
        return self.usage + self.idle + self.shared + self.unallocated

    @property
    def failed_share(self) -> Decimal | None:
        return Decimal(self.failed_requests) / self.requests if self.requests else None

    @property
    def by_type(self) -> dict[str, Decimal]:
        return {
            "usage": self.usage,
            "idle": self.idle,
            "shared": self.shared,
            "unallocated": self.unallocated,
        }

    @property
    def loaded(self) -> Decimal:
        """Fully loaded: everything but what nobody could be found for."""
        return self.usage + self.idle + self.shared

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def cpp_usage(self) -> Decimal | None:
        return self.usage / self.predictions if self.predictions else None

    @property
    def cpp_loaded(self) -> Decimal | None:
        return self.loaded / self.predictions if self.predictions else None

    @property
    def per_1k_usage(self) -> Decimal | None:
        return self.usage * 1000 / self.tokens if self.tokens else None

    @property
    def per_1k_loaded(self) -> Decimal | None:
        return self.loaded * 1000 / self.tokens if self.tokens else None

    @property
    def idle_share(self) -> Decimal | None:
        """Of what machines cost, the part that served nothing."""
        paid = self.usage + self.idle
        return self.idle / paid if paid > 0 else None


def total(figures: Iterable[Figures]) -> Figures:
    return sum(figures, Figures())


def figures_by(
    selection: Selection,
    columns: tuple[str, ...],
    snapshot: int | None = None,
    values: tuple[str, ...] | None = None,
    totals: bool = False,
) -> Mapping[tuple[str, ...], Figures]:
    """Figures of the selection by `period`, by keys that it names in `by`, or both; `values` keeps these of its key.

    `totals`: of two columns also each by itself, with an ALL in the other's place.
    Others may be given the same object: it is not to be changed.
    """
    snapshot = warehouse.latest() if snapshot is None else snapshot
    read = _read(selection, snapshot, columns, values)
    keys = "".join(f"{column}, " for column in columns if column != "period")
    query = sql("figures").format(
        period=f"{_SHOWN[selection.grain]} as period, " if "period" in columns else "",
        moment=f"{_MOMENT[selection.grain]} as moment, " if "period" in columns else "",
        keys=keys,
        allocations=read.costs,
        requests=read.served,
        where=read.where,
        billing_period=read.in_period,
        month=read.in_month,
        group=f"group by grouping sets (({', '.join(columns)}), {', '.join(f'({one})' for one in columns)})"
        if totals
        else "group by all",
    )

    def compute() -> dict[tuple[str, ...], Figures]:
        with warehouse.reading() as con:
            rows = con.execute(query, read.parameters).fetchall()
        width = len(columns)
        return {
            tuple(ALL if value is None else value for value in row[:width]): Figures(*row[width:])
            for row in rows
        }

    told = (columns, totals, selection.grain, read.where, repr(sorted(read.parameters.items())))
    return cached("figures", content(selection, snapshot), told, compute)


def content(selection: Selection, snapshot: int) -> str:
    """What tells one state of the allocations and requests selected from another."""
    datasets = ["allocation_days", "request_days"]
    if selection.grain == "hour":
        datasets += ["allocations", "request_hours"]
    return spans.content(datasets, selection.start, selection.end, snapshot)


@dataclass(frozen=True)
class Span:
    """UTC days [start, end)."""

    start: date
    end: date

    @property
    def last(self) -> date:
        return self.end - timedelta(days=1)

    @property
    def length(self) -> int:
        return (self.end - self.start).days

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end


@dataclass(frozen=True)
class ModelFigures:
    model: str
    now: Figures
    before: Figures


@dataclass(frozen=True)
class Overview:
    """A month up to its newest complete day, against the same days of the month before.

    Incomplete days are in `days` and in none of the sums, unless there is no complete day at all.
    """

    span: Span
    before: Span
    figures: Figures
    figures_before: Figures
    models: list[ModelFigures]  # dearest first, at the end what has no model; they sum to the figures
    days: dict[str, Figures]
    days_before: dict[str, Figures]
    incomplete: dict[
        date, str
    ]  # days of the month whose bill or logs are still to come, with what is missing
    content: str  # of the files that it was read from
    skipped: frozenset[date]  # incomplete days of the span, which its sums leave out
    skipped_before: frozenset[date]

    @property
    def cell(self) -> str:
        """The query string of the page that explains the month's figures."""
        return _cell(self.span, self.skipped)

    @property
    def cell_before(self) -> str:
        return _cell(self.before, self.skipped_before)


def _cell(span: "Span", without: Iterable[date]) -> str:
    return urlencode(
        [("start", span.start), ("end", span.end), *(("without", day) for day in sorted(without))]
    )


def newest_day(snapshot: int | None = None) -> date | None:
    """The last UTC day that is attributed."""
    days = [file.last_day for file in warehouse.files("allocation_days", snapshot) if file.last_day]
    return max(days, default=None)


def overview(month: date | None, scope: Scope) -> Overview | None:
    """The figures of a month (by default the newest one attributed); None where nothing is attributed."""
    snapshot = warehouse.latest()
    newest = newest_day(snapshot)
    if newest is None:
        return None
    first = month or newest.replace(day=1)
    whole = Span(first, next_month(first))
    incomplete_of_month = incomplete_days(whole)
    last = min(whole.last, max(newest, first))
    span, before = _compared(first, last, incomplete_of_month)
    skipped = {day for day in incomplete_of_month if day in span}
    if len(incomplete_of_month) >= span.length:
        skipped = set()
    skipped_before = {before.start + (day - span.start) for day in skipped}
    selection = Selection(before.start, whole.end, "day", ("model",), scope=scope)
    now = content(selection, snapshot)

    def compute() -> list[Overview]:
        found = figures_by(selection, ("period", "model"), snapshot)
        now_by, then_by = _by_model(found, span, skipped), _by_model(found, before, skipped_before)
        models = [
            ModelFigures(model, now_by.get(model, Figures()), then_by.get(model, Figures()))
            for model in sorted({*now_by, *then_by})
        ]
        return [
            Overview(
                span,
                before,
                total(now_by.values()),
                total(then_by.values()),
                sorted(models, key=lambda one: (not one.model, -one.now.cost)),
                _by_day(found, whole),
                _by_day(found, before),
                incomplete_of_month,
                now,
                frozenset(skipped),
                frozenset(skipped_before),
            )
        ]

    return cached("overview", now, (scope, span, repr(incomplete_of_month)), compute)[0]


def _compared(first: date, last: date, incomplete: Mapping[date, str]) -> tuple[Span, Span]:
    """The month without the incomplete days at its end, and as many days of the month before."""
    end = last
    while end in incomplete and end > first:
        end -= timedelta(days=1)
    if end in incomplete:  # not one complete day: better these than none
        end = last
    span = Span(first, end + timedelta(days=1))
    earlier = previous_month(first)
    whole_month = span.end == next_month(first)
    return span, Span(earlier, first if whole_month else min(earlier + (span.end - first), first))


def _by_model(
    found: Mapping[tuple[str, ...], Figures], span: Span, skipped: Collection[date]
) -> dict[str, Figures]:
    summed: dict[str, Figures] = {}
    for (period, model), figures in found.items():
        day = date.fromisoformat(period)
        if day in span and day not in skipped:
            summed[model] = summed.get(model, Figures()) + figures
    return summed


def _by_day(found: Mapping[tuple[str, ...], Figures], span: Span) -> dict[str, Figures]:
    summed: dict[str, Figures] = {}
    for (period, _), figures in sorted(found.items()):
        if date.fromisoformat(period) in span:
            summed[period] = summed.get(period, Figures()) + figures
    return summed


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


@dataclass(frozen=True)
class SourceState:
    """How fresh and how complete one source is."""

    kind: str  # billing, gpu, requests
    source: str
    newest_day: date | None
    last_delivery: datetime | None
    held: int
    days: int  # of the span, with data
    days_expected: int
    behind: int  # days that its newest lies before the newest attributed day


def sources(span: Span, newest: date) -> list[SourceState]:
    """Every source that ever delivered, with its days of the span up to the newest attributed one."""
    snapshot = warehouse.latest()
    expected = Span(span.start, min(span.end, newest + timedelta(days=1)))
    read = spans.rows("charge_days", ["source"], expected.start, expected.end, snapshot)
    days = {"start": expected.start, "end": expected.end}

    def compute() -> list[tuple[str, date]]:
        with warehouse.reading() as con:
            return con.execute(sql("source_days").format(charge_days=read.text), days).fetchall()

    now = spans.content(["charge_days"], expected.start, expected.end, snapshot)
    rows = cached("days of sources", now, tuple(days.values()), compute)
    present: dict[tuple[str, str], set[date]] = {}
    for source, day in rows:
        present.setdefault(("billing", source), set()).add(day)
    for kind, dataset in (("gpu", "gpu_samples"), ("requests", "requests")):
        for file in warehouse.files(dataset, snapshot, touching=(expected.start, expected.end)):
            source, _, text = file.partition.rpartition("/")
            if file.rows and date.fromisoformat(text) in expected:
                present.setdefault((kind, unquote(source)), set()).add(date.fromisoformat(text))
    return [
        SourceState(
            one.kind,
            one.source,
            one.newest_day,
            one.last_delivery,
            one.held,
            len(present.get((one.kind, one.source), ())),
            expected.length,
            max((newest - one.newest_day).days, 0) if one.newest_day else 0,
        )
        for one in freshness()
    ]


def days_of_bill(billing_period: str) -> Span:
    """The days that the charges of a billing period touch, which may be more than its month."""
    first = parse_month(billing_period)
    spans = [
        (file.first_day, file.last_day)
        for file in warehouse.files("charges")
        if file.partition.endswith(f"/{billing_period}") and file.first_day and file.last_day
    ]
    return Span(
        min([first, *(start for start, _ in spans)]),
        max([next_month(first), *(last + timedelta(days=1) for _, last in spans)]),
    )


def billing_periods() -> list[str]:
    """The billing periods that were delivered, newest first."""
    return sorted({file.partition.rsplit("/", 1)[-1] for file in warehouse.files("charges")}, reverse=True)


Ranked = list[tuple[str, Figures]]


@dataclass(frozen=True)
class Exploration:
    """What the explorer shows: a row for each value, and over time their sum and the values that a chart can tell apart."""

    rows: Ranked
    periods: dict[str, Figures]
    series: dict[tuple[str, str], Figures]  # (period, value)
    content: str  # of the files that it was read from

    @cached_property
    def total(self) -> Figures:
        return total(figures for _, figures in self.rows)


def explore(
    selection: Selection, charted: Callable[[Ranked], Sequence[str]] = lambda rows: ()
) -> Exploration:
    """Figures by the selection's one key, or by period where it has none; `charted` picks the values shown over time."""
    snapshot = warehouse.latest()
    now = content(selection, snapshot)
    if not selection.by:
        periods = {period: one for (period,), one in figures_by(selection, ("period",), snapshot).items()}
        return Exploration(list(periods.items()), periods, {}, now)
    by = selection.by[0]
    if _is_small(selection):
        cells = figures_by(selection, ("period", by), snapshot, totals=True)
        rows = [(value, one) for (period, value), one in cells.items() if period == ALL]
        values = set(charted(rows))
        return Exploration(
            rows,
            {period: one for (period, value), one in cells.items() if value == ALL},
            {
                (period, value): one
                for (period, value), one in cells.items()
                if value in values and period != ALL
            },
            now,
        )
    periods = {period: one for (period,), one in figures_by(selection, ("period",), snapshot).items()}
    rows = [(value, one) for (value,), one in figures_by(selection, (by,), snapshot).items()]
    drawn = tuple(charted(rows))
    series = figures_by(selection, ("period", by), snapshot, drawn) if drawn else {}
    return Exploration(rows, periods, {(period, value): one for (period, value), one in series.items()}, now)


def _is_small(selection: Selection) -> bool:
    """Whether all values over time are few enough to be read at once: two months of some dozens."""
    return (
        selection.grain != "hour"
        and "tenant" not in selection.by
        and (selection.grain == "month" or (selection.end - selection.start).days <= 62)
    )
