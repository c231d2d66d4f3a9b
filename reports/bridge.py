"""The bridge: from the invoice of a billing period to what was attributed of it, whole.

One per source and billing account, each currency of its own down to what is converted. Every figure
is counted from what it names, none is what is left over: so the bridge can end in something else
than 0.00, and then something is wrong.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal
from urllib.parse import unquote

from django.conf import settings
from django.db.models import Q
from duckdb import DuckDBPyConnection

from finops.core import spans, warehouse
from finops.core.access import Scope
from finops.core.errors import UsageError
from finops.core.money import all_digits
from finops.core.periods import parse_month
from ingest.models import BilledPeriod
from reports.billing_periods import days_of
from reports.figures import COST_TYPES
from reports.lines import ZERO
from reports.queries import sql

Account = tuple[str, str]  # source, billing account
Sign = Literal["total", "plus", "less", "end"]

# Steps whose charges can be listed.
STEPS = (
    "invoice",
    "timing",
    "effective",
    "unconverted",
    "excluded_by_rule",
    "excluded_by_default",
    "not_attributed",
    "attributed",
)


@dataclass(frozen=True)
class Step:
    """One line of the bridge: a `total` stands, `plus` and `less` lead to the next, `end` must be 0."""

    name: str
    label: str
    sign: Sign
    amount: Decimal
    currency: str
    converted_from: str = ""  # of what was converted: the currency of its charges

    @property
    def has_charges(self) -> bool:
        """Whether `bridge_charges` lists what is behind it."""
        return self.name in STEPS and self.amount != 0


@dataclass(frozen=True)
class Bill:
    """What a billing account owes in one currency, and how much of it reached the allocations."""

    currency: str
    charges: int
    invoice: Decimal  # sum of BilledCost in the digits delivered
    effective: Decimal  # sum of EffectiveCost in the digits delivered
    rounding: Decimal  # what the digits after the twelfth place add up to
    not_attributed: Decimal  # on days without a run, or whose bill is newer than their run
    unconverted: Decimal
    excluded_by_rule: Decimal
    excluded_by_default: Decimal
    attributed: Decimal  # taken up by the attribution, in this currency
    converted: Decimal  # the same in the reporting currency

    @property
    @all_digits()
    def timing(self) -> Decimal:
        """Commitments: paid in one period, used in another."""
        return self.effective - self.invoice

    @property
    @all_digits()
    def difference(self) -> Decimal:
        """What the effective cost holds and no line names: 0, or a defect."""
        named = (
            self.rounding
            + self.not_attributed
            + self.unconverted
            + self.excluded_by_rule
            + self.excluded_by_default
            + self.attributed
        )
        return self.effective - named


@dataclass(frozen=True)
class Bridge:
    """The bridge of one source and billing account in a billing period."""

    period: str
    source: str
    billing_account: str
    currency: str  # the reporting currency
    bills: tuple[Bill, ...]  # by currency
    allocated: Mapping[str, Decimal]  # by cost type, in reporting currency
    open_days: tuple[date, ...]  # with charges that are not attributed yet

    @property
    def _in_reporting_currency(self) -> list[Bill]:
        return [bill for bill in self.bills if bill.currency == self.currency]

    @property
    @all_digits()
    def _drift(self) -> Decimal:
        """What reached the attribution and is not in the allocations."""
        return sum((bill.converted for bill in self.bills), ZERO) - sum(self.allocated.values(), ZERO)

    @property
    @all_digits()
    def difference(self) -> Decimal:
        """Where the bridge ends, in reporting currency: 0, or a defect."""
        own = sum(
            (bill.difference + bill.attributed - bill.converted for bill in self._in_reporting_currency), ZERO
        )
        return own + self._drift

    @property
    def is_reconciled(self) -> bool:
        """Every part of it, not only the sum of all."""
        return (
            self._drift == 0
            and all(bill.difference == 0 for bill in self.bills)
            and all(bill.attributed == bill.converted for bill in self._in_reporting_currency)
        )

    @property
    def steps(self) -> list[Step]:
        """From the invoice down to the end, each currency in turn."""
        steps = []
        for bill in self.bills:
            lines: list[tuple[str, str, Sign, Decimal]] = [
                ("invoice", "Invoice (billed cost)", "total", bill.invoice),
                ("timing", "Timing of commitments", "plus", bill.timing),
                ("effective", "Effective cost", "total", bill.effective),
                ("unconverted", "No currency rate", "less", bill.unconverted),
                ("excluded_by_rule", "Excluded by a rule of the policy", "less", bill.excluded_by_rule),
                ("excluded_by_default", "Excluded: nothing matched", "less", bill.excluded_by_default),
                ("rounding", "Rounding to twelve places", "less", bill.rounding),
                ("not_attributed", "Days not attributed yet", "less", bill.not_attributed),
                ("attributed", "Attributed", "total", bill.attributed),
            ]
            steps += [Step(name, label, sign, amount, bill.currency) for name, label, sign, amount in lines]
            if bill.currency != self.currency:
                if bill.difference:
                    steps.append(Step("difference", "Not explained", "end", bill.difference, bill.currency))
                steps.append(
                    Step(
                        "converted",
                        "Attributed, converted",
                        "total",
                        bill.converted,
                        self.currency,
                        bill.currency,
                    )
                )
        steps += [
            Step(
                cost_type, cost_type.capitalize(), "less", self.allocated.get(cost_type, ZERO), self.currency
            )
            for cost_type in COST_TYPES
        ]
        return [*steps, Step("difference", "Difference", "end", self.difference, self.currency)]


@dataclass(frozen=True)
class BridgeCharge:
    """A charge behind a step, with its part of it in billing currency."""

    file: str
    line: int
    charge_period_start: datetime
    charge_period_end: datetime
    charge_category: str
    charge_class: str
    service_name: str
    resource_id: str
    description: str
    rule: str
    amount: Decimal


@all_digits()
def bridges(period: str, scope: Scope, snapshot: int | None = None) -> list[Bridge]:
    """The bridges of a billing period, largest bill first; none for a reader who sees only some teams."""
    parse_month(period)
    if scope.teams is not None:
        return []
    snapshot = warehouse.latest() if snapshot is None else snapshot
    con = _open(period, snapshot)
    parameters = {"period": period, "currency": settings.FINOPS_CURRENCY}
    delivered = _delivered(period, snapshot)
    ran = _attributed_since(snapshot)
    billed = _billed_since(period, snapshot)
    became: dict[tuple[str, str, str, str], tuple[Decimal, Decimal]] = {
        (source, account, currency, what): (original, cost)
        for source, account, currency, what, original, cost in con.execute(
            sql("bridge_dispositions"), {"period": period}
        ).fetchall()
    }
    waiting: dict[tuple[str, str, str], Decimal] = defaultdict(lambda: ZERO)
    open_days: dict[Account, set[date]] = defaultdict(set)
    by_day = sql("bridge_days").format(charge_parts=sql("charge_parts"))
    for source, account, currency, day, charged, taken_up in con.execute(by_day, parameters).fetchall():
        is_open = day not in ran or (charged != taken_up and ran[day] < billed.get((source, account), 0))
        if is_open:
            waiting[source, account, currency] += charged - taken_up
            open_days[source, account].add(day)
    bills: dict[Account, list[Bill]] = defaultdict(list)
    for source, account, currency, charges, billed_cost, effective in con.execute(
        sql("bridge_bills"), parameters
    ).fetchall():
        one = (source, account, currency)
        invoice, original = delivered.get(one, (billed_cost, effective))
        attributed, converted = became.pop((*one, "attributed"), (ZERO, ZERO))
        bills[source, account].append(
            Bill(
                currency=currency,
                charges=charges,
                invoice=invoice,
                effective=original,
                rounding=original - effective,
                not_attributed=waiting[one],
                unconverted=became.pop((*one, "unconverted"), (ZERO, ZERO))[0],
                excluded_by_rule=became.pop((*one, "excluded_by_rule"), (ZERO, ZERO))[0],
                excluded_by_default=became.pop((*one, "excluded_by_default"), (ZERO, ZERO))[0],
                attributed=attributed,
                converted=converted,
            )
        )
    allocated: dict[Account, dict[str, Decimal]] = defaultdict(dict)
    for source, account, cost_type, cost in con.execute(
        sql("bridge_allocated"), {"period": period}
    ).fetchall():
        allocated[source, account][cost_type] = cost
    found = [
        Bridge(
            period=period,
            source=account[0],
            billing_account=account[1],
            currency=settings.FINOPS_CURRENCY,
            bills=tuple(bills.get(account, ())),
            allocated=allocated.get(account, {}),
            open_days=tuple(sorted(open_days.get(account, ()))),
        )
        for account in sorted({*bills, *allocated, *open_days})
    ]
    return sorted(found, key=lambda one: -abs(sum(one.allocated.values(), ZERO)))


def bridge_charges(
    bridge: Bridge, currency: str, step: str, snapshot: int | None = None, limit: int = 100, offset: int = 0
) -> tuple[list[BridgeCharge], int]:
    """The charges behind one step, largest first, and how many there are in all."""
    if step not in STEPS:
        raise UsageError(f"{step!r} has no charges behind it: expected {', '.join(STEPS)}")
    snapshot = warehouse.latest() if snapshot is None else snapshot
    con = _open(bridge.period, snapshot)
    parameters: dict[str, object] = {
        "period": bridge.period,
        "currency": settings.FINOPS_CURRENCY,
        "source": bridge.source,
        "account": bridge.billing_account,
        "in_currency": currency,
        "open_days": list(bridge.open_days),
        "limit": limit,
        "offset": offset,
    }
    query = sql("bridge_charges").format(charge_parts=sql("charge_parts"), step=step)
    rows = con.execute(query, parameters).fetchall()
    charges = [
        BridgeCharge(file, line, start.replace(tzinfo=UTC), end.replace(tzinfo=UTC), *rest)
        for file, line, start, end, *rest, _ in rows
    ]
    return charges, rows[0][-1] if rows else 0


def _open(period: str, snapshot: int) -> DuckDBPyConnection:
    con = warehouse.connect()
    bills = [one for one in warehouse.files("charges", snapshot) if one.partition.endswith(f"/{period}")]
    warehouse.view(con, "charges", bills)
    for dataset in ("charge_days", "allocation_days"):
        spans.open_view(con, dataset, snapshot, touching=days_of(period))
    return con


def _delivered(period: str, snapshot: int) -> dict[tuple[str, str, str], tuple[Decimal, Decimal]]:
    """The billed and the effective cost of each bill, in the digits in which they were delivered."""
    rows = BilledPeriod.objects.filter(billing_period=period, since_snapshot__lte=snapshot).filter(
        Q(until_snapshot=None) | Q(until_snapshot__gt=snapshot)
    )
    sums: dict[tuple[str, str, str], tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
    for row in rows:
        one = (row.source, row.billing_account, row.currency or settings.FINOPS_CURRENCY)
        billed, effective = sums[one]
        sums[one] = (billed + Decimal(row.billed_cost), effective + Decimal(row.effective_cost))
    return sums


def _attributed_since(snapshot: int) -> dict[date, int]:
    """The days that are attributed, and since which snapshot."""
    return {
        date.fromisoformat(file.partition): file.since_snapshot
        for file in warehouse.files("charge_days", snapshot)
    }


def _billed_since(period: str, snapshot: int) -> dict[Account, int]:
    """Since which snapshot each account's bill of the period is in force."""
    since: dict[Account, int] = {}
    for file in warehouse.files("charges", snapshot):
        source, account, of = (unquote(name) for name in file.partition.split("/"))
        if of == period:
            since[source, account] = max(file.since_snapshot, since.get((source, account), 0))
    return since
