"""Policies tried out from the page: computed beside it, kept, and told again to who asks for the same.

With a broker a worker computes; without one a thread of the web process does, so that the page stays there.
"""

import csv
import hashlib
import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import OperationalError, connections
from django.db.models import Q
from django.utils import timezone

from attribution.models import PolicyPreview
from attribution.policy import parse
from attribution.preview import Change, Preview, RuleChange, preview
from finops import pipeline
from finops.core import warehouse
from finops.core.errors import FinopsError
from finops.core.money import plain
from finops.core.periods import next_month
from reports.figures import COST_TYPES

log = logging.getLogger(__name__)
# One that shows no sign of life for so long died with its process, or never began.
SILENT = timedelta(minutes=2)
BEGUN = "begun"  # the first stage: before it, nobody computes


def ask(text: str, month: date, by: str) -> PolicyPreview:
    """The preview of a month under this policy, begun where nobody asked for it before; raises PolicyError."""
    parse(text)
    snapshot = warehouse.latest()
    asked = json.dumps([text, month.isoformat(), snapshot, settings.FINOPS_CURRENCY])
    found, new = PolicyPreview.objects.get_or_create(
        fingerprint=hashlib.sha256(asked.encode()).hexdigest(),
        defaults={"text": text, "month": month, "snapshot": snapshot, "asked_by": by},
    )
    if new or found.state == PolicyPreview.FAILED:
        _begin(found)
    return found


def look_after(found: PolicyPreview) -> None:
    """Begin a preview again whose process died; a day may take long, but who computes it shows that it lives."""
    if found.state == PolicyPreview.WAITING and timezone.now() - found.touched_at > SILENT:
        _begin(found)


def _begin(found: PolicyPreview) -> None:
    found.state, found.stage, found.days_done, found.error = PolicyPreview.WAITING, "", 0, ""
    found.save()
    if settings.CELERY_BROKER_URL:
        from finops.tasks import preview_policy

        preview_policy.delay(found.pk)
    else:
        threading.Thread(target=_in_thread, args=(found.pk,), name=f"preview {found.pk}", daemon=True).start()


def _in_thread(number: int) -> None:
    try:
        run(number)
    finally:
        connections.close_all()


def _claimed(number: int) -> bool:
    """Whether the preview is the caller's to compute: nobody else does, and it is still to be done."""
    now = timezone.now()
    free = Q(stage="") | Q(touched_at__lt=now - SILENT)
    waiting = PolicyPreview.objects.filter(free, pk=number, state=PolicyPreview.WAITING)
    return waiting.update(stage=BEGUN, touched_at=now) == 1


@contextmanager
def _showing_life(number: int) -> Iterator[None]:
    """In the block the preview is touched several times as often as it must be, however long a day takes."""
    over = threading.Event()

    def touch() -> None:
        try:
            while not over.wait(SILENT.total_seconds() / 6):
                try:
                    PolicyPreview.objects.filter(pk=number).update(touched_at=timezone.now())
                except OperationalError:  # a database that is busy or restarts: the next sign will do
                    log.warning("preview %s could show no sign of life", number, exc_info=True)
                    connections.close_all()
        finally:
            connections.close_all()

    beside = threading.Thread(target=touch, name=f"life of preview {number}", daemon=True)
    beside.start()
    try:
        yield
    finally:
        over.set()
        beside.join()


def run(number: int) -> None:
    """Compute a preview and keep what it says, unless somebody else does or did."""
    if not _claimed(number):
        return
    mine = PolicyPreview.objects.filter(pk=number)
    found = mine.get()
    started = time.monotonic()

    def progress(stage: str, day: date, done: int, total: int) -> None:
        mine.update(stage=stage, days_done=done, days_total=total, touched_at=timezone.now())

    try:
        with _showing_life(number):
            result = preview(
                found.text,
                found.month,
                next_month(found.month),
                holds_from=found.month,
                snapshot=found.snapshot,
                workers=settings.FINOPS_CORES,
                progress=progress,
            )
    except FinopsError as error:
        found.state, found.error = PolicyPreview.FAILED, str(error)
    except Exception:
        log.exception("%s failed", found)
        found.state, found.error = PolicyPreview.FAILED, "The fault is ours; the log of the server says more."
    else:
        found.state, found.result = PolicyPreview.DONE, _written(result)
    mine.update(
        state=found.state,
        result=found.result,
        error=found.error,
        seconds=time.monotonic() - started,
        touched_at=timezone.now(),
    )


def _written(result: Preview) -> dict[str, Any]:
    return {
        "days": [day.isoformat() for day in result.days],
        "changes": {
            group: [
                [
                    one.name,
                    str(one.now),
                    str(one.then),
                    {kind: str(cost) for kind, cost in one.by_type.items()},
                ]
                for one in changes
            ]
            for group, changes in result.changes.items()
        },
        "rules": [[one.rule, one.goes, one.then_rule, one.then_goes, str(one.cost)] for one in result.rules],
        "reasons": result.reasons,
        "totals": [str(result.total_now), str(result.total_then)],
    }


def result_of(found: PolicyPreview) -> Preview:
    """What a preview that is done says."""
    kept: dict[str, Any] = found.result or {}
    now, then = map(Decimal, kept["totals"])
    return Preview(
        first=found.month,
        end=next_month(found.month),
        days=tuple(map(date.fromisoformat, kept["days"])),
        changes={
            group: [
                Change(
                    name,
                    Decimal(one),
                    Decimal(other),
                    {kind: Decimal(cost) for kind, cost in by_type.items()},
                )
                for name, one, other, by_type in changes
            ]
            for group, changes in kept["changes"].items()
        },
        rules=[
            RuleChange(rule, goes, then_rule, then_goes, Decimal(cost))
            for rule, goes, then_rule, then_goes, cost in kept["rules"]
        ],
        reasons=kept["reasons"],
        total_now=now,
        total_then=then,
    )


def waiting(result: Preview) -> list[date]:
    """The days of its span with data that no run has seen, so that the preview has not either."""
    return [day for day in pipeline.outdated_days(result.end) if day >= result.first]


def as_csv(result: Preview) -> str:
    """Every name whose cost differs, by each of GROUPS, with all decimals and the difference of each cost type."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["by", "name", "now", "then", "difference", *COST_TYPES, "currency"])
    for group, changes in result.changes.items():
        for one in changes:
            by_type = [one.by_type.get(kind, Decimal(0)) for kind in COST_TYPES]
            amounts = [plain(amount) for amount in (one.now, one.then, one.difference, *by_type)]
            writer.writerow([group, one.name, *amounts, settings.FINOPS_CURRENCY])
    return out.getvalue()
