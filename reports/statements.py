"""Statements: what each team, `No owner` and `Platform` bear of a billing period, to the cent.

An open month is computed from the allocations; a closed one is what finance froze. Money is rounded
once, by largest remainder: the bill to its statements, each statement to its lines. What a bill that
was restated after the close changed is a correction, on the first open month after it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Max, Min
from duckdb import DuckDBPyConnection

from attribution.queries import DERIVED
from finops.core import spans, warehouse
from finops.core.access import Scope
from finops.core.errors import FinopsError
from finops.core.models import ManifestFile
from finops.core.money import largest_remainder, minor_unit
from finops.core.periods import ChargePeriod, next_month, parse_month
from finops.core.results import cached
from reports.models import ClosedMonth, StatementLine
from reports.queries import sql

NO_OWNER, PLATFORM = "no-owner", "platform"
CORRECTION = "Correction"  # FOCUS ChargeClass
COST_TYPES = ("usage", "idle", "shared", "unallocated")
ZERO = Decimal(0)


class NoSuchStatement(FinopsError):
    """There is none, or the reader may not see it: the two look alike."""


@dataclass(frozen=True, order=True)
class LineKey:
    """What tells a line from the others of its billing period."""

    statement: str  # slug: no-owner, platform, team/NAME
    cost_type: str
    model: str = ""
    feature: str = ""
    pool: str = ""
    reason: str = ""  # of unallocated: no_requests, no_driver

    @property
    def team(self) -> str:
        return team_of(self.statement)


@dataclass(frozen=True)
class Line:
    """A line of a statement. `amount` is what the ledger books, `exact` the cost behind it."""

    key: LineKey
    period: str  # whose charges these are: for a correction the closed month's
    charge_class: str  # '' or Correction
    charge_period_start: date  # UTC days on which the cost was incurred, the end excluded
    charge_period_end: date
    cost_center: str
    exact: Decimal
    amount: Decimal

    @property
    def is_correction(self) -> bool:
        return self.charge_class == CORRECTION

    @property
    def explained(self) -> str:
        """The query string, without days, of the page that explains it."""
        key = self.key
        where = {"statement": key.statement, "cost_type": key.cost_type, "model": key.model}
        where |= {"feature": key.feature, "pool": key.pool, "reason": key.reason}
        return urlencode(where | {"billing_period": self.period})

    @property
    def cell(self) -> str:
        """The same with its days."""
        span = {"start": self.charge_period_start, "end": self.charge_period_end}
        return f"{self.explained}&{urlencode(span)}"

    @property
    def description(self) -> str:
        """The line in words, such as `Usage of chat for search`."""
        key = self.key
        what = {
            "usage": "Usage",
            "idle": "Idle capacity",
            "shared": f"Share of {key.pool or 'a pool'}",
            "unallocated": f"Not allocated ({key.reason.replace('_', ' ') or 'no reason'})",
        }[key.cost_type]
        if key.cost_type == "unallocated" and key.pool:
            what += f" out of {key.pool}"
        if key.model:
            what += f" of {key.model}" if key.cost_type != "shared" else f" for {key.model}"
        if key.feature:
            what += f" for {key.feature}" if key.cost_type != "shared" else f", {key.feature}"
        return f"Correction of {self.period}: {what}" if self.is_correction else what


@dataclass(frozen=True)
class Statement:
    """One team's month, or that of `No owner` or `Platform`."""

    slug: str
    period: str
    currency: str
    lines: tuple[Line, ...] = ()  # of the month's own charges
    booked: tuple[Line, ...] = ()  # corrections of earlier, closed months; some are less than a cent
    closed_version: int | None = None  # None: of an open month

    @cached_property
    def cell(self) -> str:
        """The query string of the page that explains its charges."""
        return f"{_cell(self.period, self.closed_version)}&{urlencode({'statement': self.slug})}"

    @property
    def team(self) -> str:
        return team_of(self.slug)

    @property
    def name(self) -> str:
        return self.team or {NO_OWNER: "No owner", PLATFORM: "Platform"}[self.slug]

    @property
    def corrections(self) -> tuple[Line, ...]:
        """Those that come to something; the rest only keeps the books exact."""
        return tuple(line for line in self.booked if line.amount)

    @property
    def charged(self) -> Decimal:
        """The month's own charges."""
        return total((line.amount for line in self.lines), self.currency)

    @property
    def corrected(self) -> Decimal:
        return total((line.amount for line in self.corrections), self.currency)

    @property
    def amount(self) -> Decimal:
        return self.charged + self.corrected

    @property
    def cost_centers(self) -> tuple[str, ...]:
        return tuple(sorted({line.cost_center for line in (*self.lines, *self.corrections)} - {""}))


@dataclass(frozen=True)
class Month:
    """A billing period's statements as one reader sees them: now, or as they were closed."""

    period: str
    version: int
    snapshot: int
    currency: str
    statements: tuple[Statement, ...]
    bill: Decimal | None  # costs attributed, twelve places; None for a reader who sees only some teams
    closed: ClosedMonth | None = None

    @cached_property
    def cell(self) -> str:
        """The query string of the page that explains its charges, as far as the reader sees them."""
        return _cell(self.period, self.closed.version if self.closed else None)

    @property
    def is_closed(self) -> bool:
        """Closed and still in force; an earlier version that was reopened is not."""
        return self.closed is not None and self.closed.reopened_at is None

    @property
    def state(self) -> str:
        if self.closed is None:
            return "open"
        return "closed" if self.is_closed else "replaced"

    @property
    def charged(self) -> Decimal:
        return total((statement.charged for statement in self.statements), self.currency)

    @property
    def corrected(self) -> Decimal:
        return total((statement.corrected for statement in self.statements), self.currency)

    @property
    def amount(self) -> Decimal:
        return self.charged + self.corrected

    @property
    def lines(self) -> list[Line]:
        """All lines in the order of the ledger: by statement, corrections after the month's own."""
        return [line for statement in self.statements for line in (*statement.lines, *statement.booked)]


@dataclass(frozen=True)
class MonthState:
    """A billing period and where it is in its life."""

    period: str
    state: str  # open, closed
    version: int  # the one in force, or that the next close will make
    closed: ClosedMonth | None  # the newest version, reopened or not
    versions: tuple[ClosedMonth, ...] = ()


def _cell(period: str, closed_version: int | None) -> str:
    """The query string that means the charges of a billing period, now or as they were closed."""
    month = ChargePeriod.month(period)
    first, end = days_of(period) or (month.start.date(), month.end.date())
    pairs: dict[str, object] = {"start": first, "end": end, "billing_period": period}
    return urlencode(pairs | ({"version": closed_version} if closed_version else {}))


def total(amounts: Iterable[Decimal], currency: str) -> Decimal:
    """A sum of rounded amounts, with the currency's decimals also where it is 0."""
    return sum(amounts, ZERO).quantize(minor_unit(currency))


def team_of(slug: str) -> str:
    return slug.removeprefix("team/") if slug.startswith("team/") else ""


def _sees(scope: Scope, slug: str) -> bool:
    team = team_of(slug)
    return scope.teams is None or (bool(team) and scope.sees(team))


# Months and their states


def months(newest_first: bool = True) -> list[MonthState]:
    """Every billing period that has a bill or was ever closed, and the one that corrections go to."""
    versions: dict[str, list[ClosedMonth]] = defaultdict(list)
    for row in ClosedMonth.objects.defer("ledger").order_by("period", "version"):
        versions[row.period].append(row)
    found = []
    for period in sorted({*_known_periods(), *versions}, reverse=newest_first):
        newest = versions[period][-1] if period in versions else None
        is_closed = newest is not None and newest.reopened_at is None
        version = newest.version if newest and is_closed else (newest.version + 1 if newest else 1)
        found.append(
            MonthState(
                period, "closed" if is_closed else "open", version, newest, tuple(versions.get(period, ()))
            )
        )
    return found


def billing_periods(snapshot: int | None = None) -> list[str]:
    """The billing periods of which there is a bill."""
    names = warehouse.in_force(snapshot).filter(dataset="charges").values_list("partition", flat=True)
    return sorted({name.rsplit("/", 1)[-1] for name in names})


def _known_periods(snapshot: int | None = None) -> set[str]:
    """Those with a bill, those that are closed, and the one after them where none of them is open."""
    closed = closed_months()
    known = {*billing_periods(snapshot), *closed}
    newest = max(known, default=None)
    if newest in closed:
        known.add(next_month(parse_month(newest)).strftime("%Y-%m"))
    return known


def closed_months() -> dict[str, ClosedMonth]:
    """The versions in force of the months that are closed now."""
    return {row.period: row for row in ClosedMonth.objects.filter(reopened_at=None).defer("ledger")}


def next_version(period: str) -> int:
    newest = ClosedMonth.objects.filter(period=period).aggregate(newest=Max("version"))["newest"]
    return (newest or 0) + 1


def days_of(period: str) -> tuple[date, date] | None:
    """The days [first, end) that any bill of the period, in force or not, ever touched; None: not known."""
    span = ManifestFile.objects.filter(dataset="charges", partition__endswith=f"/{period}").aggregate(
        first=Min("first_day"), last=Max("last_day")
    )
    if span["first"] is None:
        return None
    return span["first"], span["last"] + timedelta(days=1)


# Reading statements


def month(period: str, scope: Scope, version: int | None = None) -> Month:
    """The statements of a billing period that a reader may see.

    A closed month as it was closed, an open one as it is now; `version` reads an earlier close.
    Raises FinopsError where that version does not exist, UsageError where the period is no month.
    """
    parse_month(period)
    in_force = ClosedMonth.objects.filter(period=period, reopened_at=None).first()
    closed = ClosedMonth.objects.filter(period=period, version=version).first() if version else in_force
    if version and closed is None and (in_force or version != next_version(period)):
        raise FinopsError(f"{period} has no version {version}")
    whole = _as_closed(closed) if closed else open_month(period, warehouse.latest())
    if scope.teams is None:
        return whole
    visible = tuple(one for one in whole.statements if _sees(scope, one.slug))
    return Month(whole.period, whole.version, whole.snapshot, whole.currency, visible, None, whole.closed)


def statement(period: str, slug: str, scope: Scope, version: int | None = None) -> Statement:
    """One statement; raises NoSuchStatement where there is none that the reader may see."""
    for one in month(period, scope, version).statements:
        if one.slug == slug:
            return one
    raise NoSuchStatement(f"{period} has no statement {slug!r}")


def open_month(period: str, snapshot: int) -> Month:
    """The month as it would be closed on this snapshot, corrections of closed months included."""
    with warehouse.reading() as con:
        return _open_month(con, period, snapshot)


def _open_month(con: DuckDBPyConnection, period: str, snapshot: int) -> Month:
    exact = _exact_lines(con, period, snapshot)
    unit = minor_unit(settings.FINOPS_CURRENCY)
    amounts = rounded({line.key: line.cost for line in exact}, unit)
    centers = _cost_centers(con, period, snapshot)
    lines = [
        Line(
            key=line.key,
            period=period,
            charge_class="",
            charge_period_start=line.first_day,
            charge_period_end=line.last_day + timedelta(days=1),
            cost_center=centers.of(line.key),
            exact=line.cost,
            amount=amounts[line.key],
        )
        for line in exact
    ]
    corrections = [
        line for closed in _corrected_in(period, snapshot) for line in _corrections(con, closed, snapshot)
    ]
    return Month(
        period=period,
        version=next_version(period),
        snapshot=snapshot,
        currency=settings.FINOPS_CURRENCY,
        statements=_statements(period, settings.FINOPS_CURRENCY, [*lines, *corrections]),
        bill=sum((line.exact for line in lines), ZERO),
    )


def _as_closed(closed: ClosedMonth) -> Month:
    lines = [
        Line(
            key=_key(row),
            period=row.period,
            charge_class=row.charge_class,
            charge_period_start=row.charge_period_start,
            charge_period_end=row.charge_period_end,
            cost_center=row.cost_center,
            exact=row.exact,
            amount=row.amount,
        )
        for row in closed.lines.order_by("position")
    ]
    return Month(
        period=closed.period,
        version=closed.version,
        snapshot=closed.snapshot,
        currency=closed.currency,
        statements=_statements(closed.period, closed.currency, lines, closed.version),
        bill=closed.bill,
        closed=closed,
    )


def _key(row: StatementLine) -> LineKey:
    return LineKey(row.statement, row.cost_type, row.model, row.feature, row.pool, row.reason)


def _statements(
    period: str, currency: str, lines: Sequence[Line], closed_version: int | None = None
) -> tuple[Statement, ...]:
    """Teams by name, then `No owner`, then `Platform`; these two also where they bear nothing."""
    own: dict[str, list[Line]] = defaultdict(list)
    corrections: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        (corrections if line.is_correction else own)[line.key.statement].append(line)
    slugs = [*sorted({*own, *corrections} - {NO_OWNER, PLATFORM}), NO_OWNER, PLATFORM]
    return tuple(
        Statement(slug, period, currency, _ordered(own[slug]), _ordered(corrections[slug]), closed_version)
        for slug in slugs
    )


def _ordered(lines: Iterable[Line]) -> tuple[Line, ...]:
    def place(line: Line) -> tuple[str, int, tuple[str, ...]]:
        return (line.period, COST_TYPES.index(line.key.cost_type), astuple(line.key))

    return tuple(sorted(lines, key=place))


def rounded(
    exact: Mapping[LineKey, Decimal], unit: Decimal, total: Decimal | None = None
) -> dict[LineKey, Decimal]:
    """Every line in minor units: the bill to its statements, each statement to its lines.

    `total` is the figure that all lines meet; by default their sum, rounded half up.
    """
    by_statement: dict[str, dict[LineKey, Decimal]] = defaultdict(dict)
    for key in sorted(exact):
        by_statement[key.statement][key] = exact[key]
    sums = {slug: sum(lines.values(), ZERO) for slug, lines in by_statement.items()}
    amounts: dict[LineKey, Decimal] = {}
    for slug, amount in largest_remainder(sums, unit, total).items():
        amounts |= largest_remainder(by_statement[slug], unit, amount)
    return amounts


# The exact costs behind


@dataclass(frozen=True)
class _ExactLine:
    key: LineKey
    cost: Decimal
    first_day: date
    last_day: date


def on_statements(allocations: str = "allocation_days") -> str:
    """The query that puts every allocation of `$periods` on its statement."""
    return sql("on_statements").format(statement=DERIVED["statement"], allocations=allocations)


def _exact_lines(con: DuckDBPyConnection, period: str, snapshot: int) -> list[_ExactLine]:
    days = days_of(period) or (date.min, date.max)

    def compute() -> list[_ExactLine]:
        spans.open_view(con, "allocation_days", snapshot, touching=days)
        query = sql("statement_lines").format(on_statements=on_statements())
        return [
            _ExactLine(LineKey(*key), cost, first_day, last_day)
            for _, *key, cost, first_day, last_day in con.execute(query, {"periods": [period]}).fetchall()
        ]

    now = spans.content(["allocation_days"], *days, snapshot)
    return cached("statement lines", now, period, compute)


# Corrections: what a closed month would say today, less what it said


@dataclass(frozen=True)
class Change:
    """What one day of a corrected line was and is now."""

    day: date
    source: str
    billing_account: str
    service_category: str
    was: Decimal
    now: Decimal

    @property
    def difference(self) -> Decimal:
        return self.now - self.was


@dataclass(frozen=True)
class _Booked:
    """What closed months in force hold of one billing period, corrections included."""

    exact: Mapping[LineKey, Decimal]
    cost_centers: Mapping[LineKey, str]
    amount: Decimal
    snapshot: int  # of the newest close that took its changes into account


def _corrected_in(period: str, snapshot: int) -> list[ClosedMonth]:
    """The closed months whose changes this open month has to carry: it is the first open one after them."""
    closed = closed_months()
    still_open = _known_periods(snapshot) - closed.keys()
    return [
        row
        for earlier, row in sorted(closed.items())
        if min((one for one in still_open if one > earlier), default=None) == period
    ]


def _booked(closed: ClosedMonth) -> _Booked:
    rows = StatementLine.objects.filter(period=closed.period, month__reopened_at=None).select_related("month")
    exact: dict[LineKey, Decimal] = defaultdict(lambda: ZERO)
    centers: dict[LineKey, str] = {}
    amount, snapshot = ZERO, closed.snapshot
    for row in rows.defer("month__ledger"):
        exact[_key(row)] += row.exact
        centers.setdefault(_key(row), row.cost_center)
        amount += row.amount
        snapshot = max(snapshot, row.month.snapshot)
    return _Booked(exact, centers, amount, snapshot)


def _corrections(con: DuckDBPyConnection, closed: ClosedMonth, snapshot: int) -> list[Line]:
    """The lines that bring a closed month to what its bill says now.

    Only lines whose exact cost changed are corrected, also where that is less than a cent: those
    have an amount of 0 and keep the books exact. The amounts sum to the bill now, rounded, less
    what was booked.
    """
    booked = _booked(closed)
    changed = open_changes(con, closed.period, booked.snapshot, snapshot)
    if not changed:
        return []
    if closed.currency != settings.FINOPS_CURRENCY:
        raise FinopsError(
            f"{closed.period} was closed in {closed.currency}: "
            f"its bill cannot be corrected in {settings.FINOPS_CURRENCY}"
        )
    unit = minor_unit(closed.currency)
    now = {line.key: line.cost for line in _exact_lines(con, closed.period, snapshot)}
    differences = {
        key: difference
        for key in sorted({*now, *booked.exact})
        if (difference := now.get(key, ZERO) - booked.exact.get(key, ZERO))
    }
    bill = largest_remainder({"bill": sum(now.values(), ZERO)}, unit)["bill"]
    amounts = rounded(differences, unit, bill - booked.amount)
    days = _changed_days(con, closed.period)
    whole = ChargePeriod.month(closed.period)
    centers = _cost_centers(con, closed.period, snapshot)
    lines = []
    for key, difference in differences.items():
        first, last = days.get(key, (whole.start.date(), whole.end.date() - timedelta(days=1)))
        lines.append(
            Line(
                key=key,
                period=closed.period,
                charge_class=CORRECTION,
                charge_period_start=first,
                charge_period_end=last + timedelta(days=1),
                cost_center=booked.cost_centers.get(key) or centers.of(key),
                exact=difference,
                amount=amounts[key],
            )
        )
    return lines


def open_changes(con: DuckDBPyConnection, period: str, earlier: int, later: int) -> bool:
    """Make the views `was` and `now`: the days of the period attributed anew between two snapshots.

    False, and no views, where there are none.
    """
    touching = days_of(period)
    was = {file.path: file for file in warehouse.files("allocation_days", earlier, touching=touching)}
    now = {file.path: file for file in warehouse.files("allocation_days", later, touching=touching)}
    if was.keys() == now.keys():
        return False
    gone = [file for path, file in was.items() if path not in now]
    new = [file for path, file in now.items() if path not in was]
    warehouse.view(con, "allocation_days", gone, "was_days", temp=True)
    warehouse.view(con, "allocation_days", new, "now_days", temp=True)
    return True


def _changes(con: DuckDBPyConnection, period: str) -> Iterator[tuple[LineKey, Change]]:
    """The changed days of every line, once `open_changes` has made the views."""
    query = sql("corrected_days").format(was=on_statements("was_days"), now=on_statements("now_days"))
    for row in con.execute(query, {"periods": [period]}).fetchall():
        yield LineKey(*row[:6]), Change(*row[6:])


def _changed_days(con: DuckDBPyConnection, period: str) -> dict[LineKey, tuple[date, date]]:
    """The first and the last changed day of every line."""
    days: dict[LineKey, tuple[date, date]] = {}
    for key, change in _changes(con, period):
        first, last = days.get(key, (change.day, change.day))
        days[key] = (min(first, change.day), max(last, change.day))
    return days


# Cost centres


@dataclass(frozen=True)
class CostCenters:
    """Cost centres as in force at a month's end."""

    of_team: Mapping[str, str] = field(default_factory=dict)
    of_feature: Mapping[tuple[str, str], str] = field(default_factory=dict)
    of_model: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def of(self, key: LineKey) -> str:
        """The team's own; else that of its feature, else of its model; else what all of its rows agree on."""
        team = key.team
        if not team:
            return ""
        agreed = {
            center
            for rows in (self.of_feature, self.of_model)
            for (owner, _), center in rows.items()
            if owner == team
        }
        return (
            self.of_team.get(team)
            or self.of_feature.get((team, key.feature))
            or self.of_model.get((team, key.model))
            or (agreed.pop() if len(agreed) == 1 else "")
        )


def _cost_centers(con: DuckDBPyConnection, period: str, snapshot: int) -> CostCenters:
    warehouse.open_view(con, "owners", snapshot, temp=True)
    rows = con.execute(sql("cost_centers"), {"end": ChargePeriod.month(period).end}).fetchall()
    return CostCenters(
        of_team={name: center for kind, name, _, center in rows if kind == "team"},
        of_feature={(team, name): center for kind, name, team, center in rows if kind == "feature"},
        of_model={(team, name): center for kind, name, team, center in rows if kind == "model"},
    )


# What a line is made of


@dataclass(frozen=True)
class Part:
    """One value of a facet, such as the tenant `acme`, and its part of the line."""

    value: str
    cost: Decimal


@dataclass(frozen=True)
class ChargesBehind:
    """The charges of one rule, service and resource from which a line comes, with their whole cost."""

    source: str
    billing_account: str
    rule: str
    disposition: str
    target: str
    service_category: str
    service_name: str
    resource_id: str
    charges: int
    cost: Decimal


@dataclass(frozen=True)
class LineDetail:
    """A line opened: its parts by each facet, the charges of its pool or model, and a correction's changes."""

    line: Line
    parts: Mapping[str, tuple[Part, ...]]
    charges: tuple[ChargesBehind, ...]
    changes: tuple[Change, ...] = ()
    snapshot: int = 0  # that it was read at
    booked: int | None = None  # of a correction: the snapshot of what it corrects


def line_detail(
    period: str,
    key: LineKey,
    scope: Scope,
    version: int | None = None,
    corrects: str = "",
) -> LineDetail:
    """What a line is made of, as of the snapshot that its month reads.

    `corrects` names the closed month whose correction is meant. Raises NoSuchStatement where the
    reader sees no such line.
    """
    whole = month(period, scope, version)
    wanted = (key, corrects or period, CORRECTION if corrects else "")
    line = next((one for one in whole.lines if (one.key, one.period, one.charge_class) == wanted), None)
    if line is None:
        raise NoSuchStatement(f"{period} has no such line")
    with warehouse.reading() as con:
        return _line_detail(con, line, key, whole)


def _line_detail(con: DuckDBPyConnection, line: Line, key: LineKey, whole: Month) -> LineDetail:
    of = line.period
    touching = days_of(of)
    for dataset in ("allocation_days", "charge_days"):
        spans.open_view(con, dataset, whole.snapshot, touching=touching)
    selected = sql("line").format(on_statements=on_statements())
    parameters: dict[str, object] = {**vars(key), "periods": [of]}
    parts: dict[str, list[Part]] = defaultdict(list)
    for facet, value, cost in con.execute(sql("line_parts").format(line=selected), parameters).fetchall():
        parts[facet].append(Part(value, cost))
    behind = con.execute(sql("line_charges").format(line=selected), {**parameters, "period": of}).fetchall()
    return LineDetail(
        line=line,
        parts={facet: tuple(found) for facet, found in parts.items()},
        charges=tuple(ChargesBehind(*row) for row in behind),
        changes=_changes_behind(con, line, whole) if line.is_correction else (),
        snapshot=whole.snapshot,
        booked=_booked_at(line, whole) if line.is_correction else None,
    )


def _booked_at(line: Line, whole: Month) -> int | None:
    """The snapshot at which the closed month that a line corrects was last booked."""
    found: int | None = (
        StatementLine.objects.filter(period=line.period, month__snapshot__lt=whole.snapshot)
        .exclude(month__period=whole.period)
        .aggregate(newest=Max("month__snapshot"))["newest"]
    )
    return found


def _changes_behind(con: DuckDBPyConnection, line: Line, whole: Month) -> tuple[Change, ...]:
    """The days behind a correction: what they were when the closed month was last booked, and since."""
    booked = _booked_at(line, whole)
    if booked is None or not open_changes(con, line.period, booked, whole.snapshot):
        return ()
    return tuple(change for key, change in _changes(con, line.period) if key == line.key)
