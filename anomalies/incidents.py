"""From the warehouse's days to incidents: slices judged, what belongs together merged, causes found, kept.

Complete days only. An event becomes one incident.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import transaction

from anomalies import causes
from anomalies.descriptions import described
from anomalies.events import together
from anomalies.findings import Progress, findings
from anomalies.models import Incident
from anomalies.slices import days_by_slice
from attribution import queries as attribution
from finops.core import warehouse

KEY = ("model", "tenant", "feature", "resource", "metric", "onset")
PERSONAL = {"id", "state", "note", "changed_by", "changed_at", "found_at"}


@dataclass(frozen=True)
class Report:
    """What a run of detection did."""

    first: date | None
    last: date | None
    slices: int
    found: list[Incident]
    new: int
    gone: int  # no longer shown by the figures, and resolved


def detect(progress: Progress | None = None) -> Report:
    """Judge every complete day anew and keep the incidents; the same figures give the same rows."""
    snapshot = warehouse.latest()
    days = attribution.complete_days()
    if not days:
        return Report(None, None, 0, [], 0, 0)
    with closing(warehouse.connect()) as con:
        tables = days_by_slice(con, snapshot, days)
        found = sorted(
            findings(tables, days, progress), key=lambda one: (one.onset, -abs(one.impact), str(one.where))
        )
        placed = causes.placed(
            con, snapshot, (one.onset - timedelta(days=n) for one in found for n in (0, 1))
        )
        events = together(found, placed)
        incidents = [described(con, snapshot, event, tables, days, placed) for event in events]
    new, gone = _keep(incidents)
    return Report(days[0], days[-1], len(tables), incidents, new, gone)


def _keep(found: Sequence[Incident]) -> tuple[int, int]:
    """Make the stored incidents those found: new ones added, known ones brought up to date, others resolved.

    One that was resolved here and comes back is open again; what a person has resolved stays so.
    """
    fields = [one.name for one in Incident._meta.get_fields() if one.name not in PERSONAL]
    new = 0
    with transaction.atomic():
        stored = list(Incident.objects.select_for_update())
        left = list(stored)
        for incident in found:
            known = _known(incident, left)
            if known is None:
                incident.save()
                new += 1
                continue
            left.remove(known)
            for name in fields:
                setattr(known, name, getattr(incident, name))
            if known.state == Incident.RESOLVED and not known.changed_by:
                known.state, known.note = Incident.OPEN, ""
            known.save()
            incident.pk = known.pk
        gone = 0
        for incident in left:
            if incident.state != Incident.RESOLVED:
                incident.state, incident.note = Incident.RESOLVED, "no longer in the figures"
                incident.changed_by, incident.changed_at = "", None
                incident.save(update_fields=["state", "note", "changed_by", "changed_at"])
                gone += 1
    return new, gone


def _known(incident: Incident, stored: Sequence[Incident]) -> Incident | None:
    """The row of the same event: same slice, metric and onset, or one that moved with it within a day."""
    for other in stored:
        if all(getattr(other, name) == getattr(incident, name) for name in KEY):
            return other
    for other in stored:
        if abs((other.onset - incident.onset).days) <= 1 and _members(other) & _members(incident):
            return other
    return None


def _members(incident: Incident) -> set[tuple[Any, ...]]:
    rows = [{**{name: getattr(incident, name) for name in KEY}}, *incident.moved]
    return {tuple(row[name] for name in KEY[:-1]) for row in rows}
