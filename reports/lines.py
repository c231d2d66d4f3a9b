"""Lines of statements: what tells one from another, the exact cost behind it and the amount that is booked.

Money is rounded once, by largest remainder: the bill to its statements, each statement to its lines.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from urllib.parse import urlencode

from duckdb import DuckDBPyConnection

from attribution.queries import DERIVED
from finops.core import spans
from finops.core.money import largest_remainder
from finops.core.results import cached
from reports.billing_periods import days_of
from reports.models import StatementLine
from reports.queries import sql

CORRECTION = "Correction"  # FOCUS ChargeClass
ZERO = Decimal(0)


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


def team_of(slug: str) -> str:
    return slug.removeprefix("team/") if slug.startswith("team/") else ""


def key_of(row: StatementLine) -> LineKey:
    return LineKey(row.statement, row.cost_type, row.model, row.feature, row.pool, row.reason)


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


@dataclass(frozen=True)
class ExactLine:
    key: LineKey
    cost: Decimal
    first_day: date
    last_day: date


def on_statements(allocations: str = "allocation_days") -> str:
    """The query that puts every allocation of `$periods` on its statement."""
    return sql("on_statements").format(statement=DERIVED["statement"], allocations=allocations)


def exact_lines(con: DuckDBPyConnection, period: str, snapshot: int) -> list[ExactLine]:
    days = days_of(period) or (date.min, date.max)

    def compute() -> list[ExactLine]:
        spans.open_view(con, "allocation_days", snapshot, touching=days)
        query = sql("statement_lines").format(on_statements=on_statements())
        return [
            ExactLine(LineKey(*key), cost, first_day, last_day)
            for _, *key, cost, first_day, last_day in con.execute(query, {"periods": [period]}).fetchall()
        ]

    now = spans.content(["allocation_days"], *days, snapshot)
    return cached("statement lines", now, period, compute)
