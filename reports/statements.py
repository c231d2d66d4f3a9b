"""Statements: what each team, `No owner` and `Platform` bear of a billing period, to the cent.

An open month is computed from the allocations; a closed one is what finance froze. What a bill that
was restated after the close changed is a correction, on the first open month after it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from urllib.parse import urlencode

from django.conf import settings
from duckdb import DuckDBPyConnection

from finops.core import warehouse
from finops.core.access import Scope
from finops.core.errors import FinopsError
from finops.core.money import minor_unit
from finops.core.periods import ChargePeriod, parse_month
from reports.billing_periods import NoSuchVersion, closed_version, days_of, next_version
from reports.corrections import corrections
from reports.cost_centers import cost_centers
from reports.figures import COST_TYPES
from reports.lines import ZERO, Line, exact_lines, key_of, rounded, team_of
from reports.models import ClosedMonth

NO_OWNER, PLATFORM = "no-owner", "platform"


class NoSuchStatement(FinopsError):
    """There is none, or the reader may not see it: the two look alike."""


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


def _cell(period: str, closed_version: int | None) -> str:
    """The query string that means the charges of a billing period, now or as they were closed."""
    month = ChargePeriod.month(period)
    first, end = days_of(period) or (month.start.date(), month.end.date())
    pairs: dict[str, object] = {"start": first, "end": end, "billing_period": period}
    return urlencode(pairs | ({"version": closed_version} if closed_version else {}))


def total(amounts: Iterable[Decimal], currency: str) -> Decimal:
    """A sum of rounded amounts, with the currency's decimals also where it is 0."""
    return sum(amounts, ZERO).quantize(minor_unit(currency))


def _sees(scope: Scope, slug: str) -> bool:
    team = team_of(slug)
    return scope.teams is None or (bool(team) and scope.sees(team))


def month(period: str, scope: Scope, version: int | None = None) -> Month:
    """The statements of a billing period that a reader may see.

    A closed month as it was closed, an open one as it is now; `version` reads an earlier close.
    Raises NoSuchVersion where that version does not exist, UsageError where the period is no month.
    """
    parse_month(period)
    in_force = ClosedMonth.objects.filter(period=period, reopened_at=None).first()
    closed = closed_version(period, version) if version else in_force
    if version and closed is None and (in_force or version != next_version(period)):
        raise NoSuchVersion(period, version)
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
    exact = exact_lines(con, period, snapshot)
    unit = minor_unit(settings.FINOPS_CURRENCY)
    amounts = rounded({line.key: line.cost for line in exact}, unit)
    centers = cost_centers(con, period, snapshot)
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
    return Month(
        period=period,
        version=next_version(period),
        snapshot=snapshot,
        currency=settings.FINOPS_CURRENCY,
        statements=_statements(
            period, settings.FINOPS_CURRENCY, [*lines, *corrections(con, period, snapshot)]
        ),
        bill=sum((line.exact for line in lines), ZERO),
    )


def _as_closed(closed: ClosedMonth) -> Month:
    lines = [
        Line(
            key=key_of(row),
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
