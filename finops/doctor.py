"""Is every source fresh, complete and reconciled? Only reads; each answer names what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from attribution import queries as attributed
from finops import pipeline
from finops.core import warehouse
from finops.core.access import EVERYTHING
from ingest import queries as arrived
from ingest.models import Delivery
from reports import billing_periods, bridge

# A source is fresh while its newest day is at most so many days back: providers finish their bills late.
FRESH: dict[str, timedelta] = {
    Delivery.Kind.BILLING: timedelta(days=3),
    Delivery.Kind.GPU: timedelta(days=2),
    Delivery.Kind.REQUESTS: timedelta(days=2),
}
NAMES: dict[str, str] = {
    Delivery.Kind.BILLING: "bill",
    Delivery.Kind.GPU: "GPU metrics",
    Delivery.Kind.REQUESTS: "requests",
}


_SHOWN = 5  # of one kind of trouble
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Answer:
    sound: bool
    text: str


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def examine(today: date, contents: bool = False) -> Iterator[Answer]:
    """`contents`: read every file of the warehouse, and not only look whether it is there."""
    yield from _whole(contents)
    yield from _fresh(today)
    yield from _deliveries()
    yield from _complete(today)
    yield from _reconciled()


def _whole(contents: bool) -> Iterator[Answer]:
    files = list(warehouse.in_force())
    damaged = list(warehouse.damaged(files, contents))
    for text in damaged[:_SHOWN]:
        yield Answer(False, text)
    state = "what was written" if contents else "there"
    yield Answer(
        not damaged,
        f"{len(files) - len(damaged):,} of {counted(len(files), 'file')} of the warehouse are {state}",
    )


def _fresh(today: date) -> Iterator[Answer]:
    """Of every source that has ever delivered; an organisation without GPUs has no metrics, but all have bills."""
    sources = arrived.freshness()
    if not any(one.kind == Delivery.Kind.BILLING for one in sources):
        yield Answer(False, "no bill yet: ingest billing FILE")
    for one in sources:
        text = f"{NAMES[one.kind]} of {one.source} until {one.newest_day or 'no day'}"
        if one.newest_day is not None and one.newest_day > today + _DAY:
            yield Answer(False, f"{text}, which is to come: whether they are fresh cannot be said")
            continue
        late = one.newest_day is None or today - one.newest_day > FRESH[one.kind]
        yield Answer(not late, text + (": nothing since" if late else ""))


def _deliveries() -> Iterator[Answer]:
    held = Delivery.objects.filter(state=Delivery.State.HELD).order_by("id")
    for delivery in held:
        yield Answer(
            False, f"{delivery.kind} delivery {delivery.pk} waits for a person: deliveries show {delivery.pk}"
        )
    failed = Delivery.objects.filter(state=Delivery.State.FAILED, replaced_by=None).count()
    yield Answer(True, f"deliveries: {len(held)} held, {failed} could not be loaded")


def _complete(today: date) -> Iterator[Answer]:
    waiting = pipeline.outdated_days(today)
    if waiting:
        yield Answer(False, f"{counted(len(waiting), 'day')} to attribute, from {waiting[0]}: attribute")
    runs = attributed.runs(end=today)
    incomplete = [run for run in runs.values() if not run.complete]
    for run in incomplete[-_SHOWN:]:
        yield Answer(False, f"{run.day} is incomplete: {run.incomplete_reason}")
    yield Answer(True, f"{counted(len(runs), 'day')} attributed, {len(incomplete)} of them incomplete")


def _reconciled() -> Iterator[Answer]:
    for month in billing_periods.months():
        found = bridge.bridges(month.period, EVERYTHING)
        for one in found:
            if not one.is_reconciled:
                yield Answer(
                    False,
                    f"{month.period} {one.source} {one.billing_account}: "
                    f"the bridge ends in {one.difference} {one.currency}",
                )
        if found and all(one.is_reconciled for one in found):
            yield Answer(
                True, f"{month.period}: invoice and allocations meet, for {counted(len(found), 'account')}"
            )
