"""What other apps may ask about what arrived."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Max

from ingest.models import BilledPeriod, Delivery, Problem


@dataclass(frozen=True)
class Freshness:
    """How new one source's data is."""

    kind: str
    source: str
    newest_day: date | None  # the last UTC day there is data of
    last_delivery: datetime | None
    held: int  # deliveries of this source that wait for a person


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
