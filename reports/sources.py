"""Sources: how fresh each is, and how complete."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import unquote

from finops.core import spans, warehouse
from finops.core.results import cached
from ingest.queries import freshness
from reports.queries import sql
from reports.selection import Span


@dataclass(frozen=True)
class SourceState:
    """How fresh and how complete one source is."""

    kind: str  # billing, gpu, requests
    source: str
    newest_day: date | None
    last_delivery: datetime | None
    held: int
    days: int  # of the span, with data
    days_expected: int
    behind: int  # days that its newest lies before the newest attributed day


def sources(span: Span, newest: date) -> list[SourceState]:
    """Every source that ever delivered, with its days of the span up to the newest attributed one."""
    snapshot = warehouse.latest()
    expected = Span(span.start, min(span.end, newest + timedelta(days=1)))
    read = spans.rows("charge_days", ["source"], expected.start, expected.end, snapshot)
    days = {"start": expected.start, "end": expected.end}

    def compute() -> list[tuple[str, date]]:
        with warehouse.reading() as con:
            return con.execute(sql("source_days").format(charge_days=read.text), days).fetchall()

    now = spans.content(["charge_days"], expected.start, expected.end, snapshot)
    rows = cached("days of sources", now, tuple(days.values()), compute)
    present: dict[tuple[str, str], set[date]] = {}
    for source, day in rows:
        present.setdefault(("billing", source), set()).add(day)
    for kind, dataset in (("gpu", "gpu_samples"), ("requests", "requests")):
        for file in warehouse.files(dataset, snapshot, touching=(expected.start, expected.end)):
            source, _, text = file.partition.rpartition("/")
            if file.rows and date.fromisoformat(text) in expected:
                present.setdefault((kind, unquote(source)), set()).add(date.fromisoformat(text))
    return [
        SourceState(
            one.kind,
            one.source,
            one.newest_day,
            one.last_delivery,
            one.held,
            len(present.get((one.kind, one.source), ())),
            expected.length,
            max((newest - one.newest_day).days, 0) if one.newest_day else 0,
        )
        for one in freshness()
    ]
