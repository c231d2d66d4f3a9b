"""What a line is made of: its parts by each facet, the charges behind it, and a correction's changes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Max
from duckdb import DuckDBPyConnection

from finops.core import spans, warehouse
from finops.core.access import Scope
from reports.billing_periods import days_of
from reports.corrections import Change, changes, open_changes
from reports.lines import CORRECTION, Line, LineKey, on_statements
from reports.models import StatementLine
from reports.queries import sql
from reports.statements import Month, NoSuchStatement, month


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
    """A line opened: its parts by each facet and the charges of its pool or model; of a correction its changes alone."""

    line: Line
    parts: Mapping[str, tuple[Part, ...]]
    charges: tuple[ChargesBehind, ...]
    changes: tuple[Change, ...] = ()
    snapshot: int = 0  # that it was read at
    booked: int | None = None  # of a correction: the snapshot of what it corrects

    @property
    def was(self) -> Decimal:
        """Of a correction, what its changed days cost before."""
        return sum((change.was for change in self.changes), Decimal(0))

    @property
    def now(self) -> Decimal:
        return sum((change.now for change in self.changes), Decimal(0))

    @property
    def difference(self) -> Decimal:
        return self.now - self.was

    @property
    def days(self) -> int:
        """How many days have a cost; of a correction, how many changed."""
        return len(
            {change.day for change in self.changes} if self.line.is_correction else self.parts.get("day", ())
        )


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
    if line.is_correction:
        booked = _booked_at(line, whole)
        return LineDetail(
            line, {}, (), _changes_behind(con, line, booked, whole.snapshot), whole.snapshot, booked
        )
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
        snapshot=whole.snapshot,
    )


def _booked_at(line: Line, whole: Month) -> int | None:
    """The snapshot at which the closed month that a line corrects was last booked."""
    found: int | None = (
        StatementLine.objects.filter(period=line.period, month__snapshot__lt=whole.snapshot)
        .exclude(month__period=whole.period)
        .aggregate(newest=Max("month__snapshot"))["newest"]
    )
    return found


def _changes_behind(
    con: DuckDBPyConnection, line: Line, booked: int | None, snapshot: int
) -> tuple[Change, ...]:
    """The days behind a correction: what they were when the closed month was last booked, and since."""
    if booked is None or not open_changes(con, line.period, booked, snapshot):
        return ()
    return tuple(change for key, change in changes(con, line.period) if key == line.key)
