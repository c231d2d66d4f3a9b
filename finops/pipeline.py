"""The steps of a day in order. Each finds by itself what there is to do, and may be repeated at any time."""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from attribution import queries as attributed
from attribution.models import Run
from attribution.run import Progress, Report, attribute
from finops import garbage
from finops.core import spans, warehouse
from finops.core.models import ManifestFile
from finops.core.periods import ChargePeriod, next_month
from ingest import landing
from reports.billing_periods import newest_closed_snapshot

INPUTS = ("charges", "gpu_samples", "requests", "hosts", "owners", "rates", "policy")
DAILY = ("charges", "gpu_samples", "requests")  # those that make a day worth attributing
_DAY = timedelta(days=1)


log = logging.getLogger(__name__)


def pull() -> int:
    """Load what is new in the landing zone; how many deliveries that made."""
    loaded = 0
    for one in landing.pull():
        if one.outcome is None:
            log.warning("%s: %s", one.path, one.error)
        elif not one.outcome.already_there:
            loaded += 1
    return loaded


def attribute_outdated(workers: int = 1, progress: Progress | None = None) -> Report:
    """Attribute the days with data that no run has seen, up to the end of the current month."""
    today = datetime.now(UTC).date()
    report = attribute(
        outdated_days(next_month(today)),
        workers=workers,
        progress=progress,
        kept_until=newest_closed_snapshot(),
    )
    spans.compact(spans.LOOSE)
    return report


def tidy() -> None:
    """Gather what is attributed by months, and delete what nobody can ask for any more."""
    spans.compact()
    garbage.collect()


def detect(progress: Callable[[int, int], None] | None = None) -> int:
    """Judge the complete days; how many incidents there are."""
    from anomalies import incidents  # with pandas and scikit-learn

    return len(incidents.detect(progress).found)


def mail_owners(week: date | None = None) -> int:
    """Send each owner the mail of a week, by default the last; how many went out. Never twice for one week."""
    from reports import emails

    outcome = emails.send(week)
    for email, error in outcome.failed.items():
        log.warning("%s: %s", email, error)
    return len(outcome.sent)


def outdated_days(before: date) -> list[date]:
    """Days before a date whose inputs changed after the run in force read them, and days never attributed.

    Only files are looked at here; `attribute` finds that some of these days have the same rows as before.
    """
    changes = list(_changes())
    runs = attributed.runs()
    days = sorted(
        {day for file in warehouse.in_force().filter(dataset__in=DAILY) for day in _days(file, before)}
    )
    return [day for day in days if day not in runs or _changed_since(runs[day], changes)]


def _changes() -> Iterator[tuple[int, date, date, bool]]:
    """When each input's file came or went, the days that it is of, and whether other days look at it."""
    for file in ManifestFile.objects.filter(dataset__in=INPUTS):
        when = max(file.since_snapshot, file.until_snapshot or 0)
        looked_at = file.dataset in ("gpu_samples", "requests")
        yield when, file.first_day or date.min, file.last_day or date.max, looked_at


def _changed_since(run: Run, changes: Sequence[tuple[int, date, date, bool]]) -> bool:
    return any(
        when > run.computed_from
        and first <= (run.looked_until if looked_at else run.day)
        and last >= (run.looked_from if looked_at else run.day)
        for when, first, last, looked_at in changes
    )


def _days(file: ManifestFile, before: date) -> Iterator[date]:
    if file.first_day is None or file.last_day is None or not file.rows:
        return
    yield from ChargePeriod.days(file.first_day, min(file.last_day + _DAY, before))
