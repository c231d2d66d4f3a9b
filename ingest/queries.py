"""What other apps may ask about what arrived."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext

from django.db.models import Max, Q

from ingest.models import BilledPeriod, Delivery, Problem


@dataclass(frozen=True)
class Freshness:
    """How new one source's data is."""

    kind: str
    source: str
    newest_day: date | None  # the last UTC day there is data of
    last_delivery: datetime | None
    held: int  # deliveries of this source that wait for a person


@dataclass(frozen=True)
class OriginalTotal:
    """What a bill in force says about a period, in its own digits, beside what was loaded."""

    source: str
    billing_account: str
    billing_period: str
    currency: str
    rows: int
    billed_cost: Decimal
    effective_cost: Decimal
    charged_billed_cost: Decimal
    charged_effective_cost: Decimal

    @property
    def rounding(self) -> Decimal:
        """What rounding each charge to 12 places added to the effective cost."""
        with localcontext(prec=200):
            return self.charged_effective_cost - self.effective_cost


def deliveries(*, kind: str | None = None, state: str | None = None, limit: int = 100) -> Sequence[Delivery]:
    """The newest deliveries first, with their files."""
    found = Delivery.objects.prefetch_related("files")
    if kind:
        found = found.filter(kind=kind)
    if state:
        found = found.filter(state=state)
    return list(found[:limit])


def delivery(number: int) -> Delivery | None:
    return Delivery.objects.prefetch_related("files", "periods").filter(pk=number).first()


def problems(delivery: int, limit: int = 1000) -> Sequence[Problem]:
    """The rows of a delivery that could not be used, by file and line."""
    return list(Problem.objects.filter(delivery_id=delivery)[:limit])


def freshness() -> list[Freshness]:
    """Each source that ever delivered a bill, metrics or requests, by kind and name."""
    found: dict[tuple[str, str], tuple[date | None, datetime | None]] = {}
    bills = (
        BilledPeriod.objects.filter(until_snapshot=None)
        .values("source")
        .annotate(day=Max("newest_day"), arrived=Max("delivery__finished"))
    )
    for bill in bills:
        found[(Delivery.Kind.BILLING, bill["source"])] = (bill["day"], bill["arrived"])
    for daily in (Delivery.Kind.GPU, Delivery.Kind.REQUESTS):
        loaded = Delivery.objects.filter(kind=daily, state=Delivery.State.LOADED).values("source")
        for one in loaded.annotate(arrived=Max("finished"), day=Max("newest_day")):
            found[(daily, one["source"])] = (one["day"], one["arrived"])
    held = dict.fromkeys(found, 0)
    for waiting in Delivery.objects.filter(state=Delivery.State.HELD):
        for name in found:
            if name[0] == waiting.kind and waiting.source in ("", name[1]):
                held[name] += 1
    return [
        Freshness(kind, source, day, arrived, held[kind, source])
        for (kind, source), (day, arrived) in sorted(found.items())
    ]


def original_totals(snapshot: int | None = None, billing_period: str | None = None) -> list[OriginalTotal]:
    """The exact sums of the bills in force at a snapshot, by source, account, period and currency."""
    found = BilledPeriod.objects.all()
    if snapshot is None:
        found = found.filter(until_snapshot=None)
    else:
        found = found.filter(since_snapshot__lte=snapshot).filter(
            Q(until_snapshot=None) | Q(until_snapshot__gt=snapshot)
        )
    if billing_period:
        found = found.filter(billing_period=billing_period)
    return [
        OriginalTotal(
            period.source,
            period.billing_account,
            period.billing_period,
            period.currency,
            period.rows,
            Decimal(period.billed_cost),
            Decimal(period.effective_cost),
            Decimal(period.charged_billed_cost),
            Decimal(period.charged_effective_cost),
        )
        for period in found
    ]
