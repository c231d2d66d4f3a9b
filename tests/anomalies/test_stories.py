"""The sample organisation's planted changes, found by the whole pipeline from its files."""

from datetime import date, timedelta
from decimal import Decimal
from fnmatch import fnmatch

import pytest
from django.core.management import call_command

from anomalies.models import Incident
from finops.core.datasets import KEYS
from finops.sample.stories import Story
from finops.sample.write import Delivery, Sample, write
from reports.exploration import explore
from reports.selection import Selection

pytestmark = pytest.mark.django_db(transaction=True)

# Less than the sample has, to take less time: a fifth of its requests, so that what single tenants and features
# cost is a fifth as well and harder to find, and no more past before the first story than detection needs.
REQUESTS, DAYS = 400_000, timedelta(days=50)


def load(sample: Sample, first: date) -> None:
    """Through the public commands; of logs and metrics, what the days from `first` on need."""
    for delivery in sample.deliveries:
        files = [str(path) for path in delivery.files if needed(delivery, path.name, first)]
        if delivery.kind == "policy":
            call_command("policy", "apply", *files)
        else:
            call_command(
                "ingest", delivery.kind, *files, *(["--source", delivery.source] if delivery.source else [])
            )


def needed(delivery: Delivery, name: str, first: date) -> bool:
    return delivery.kind not in ("requests", "gpu") or name >= str(first - timedelta(days=7))


def tells_of(incident: Incident, story: Story) -> bool:
    """The right slice, within a day, with the right sign."""
    slice_ = {**incident.slice, "cost_type": "idle" if incident.metric == "idle" else "usage"}
    return (
        all(fnmatch(slice_.get(key, ""), value) for key, value in story.where.items())
        and abs(incident.onset - story.onset) <= timedelta(days=1)
        and incident.direction == story.direction
    )


def cost(incident: Incident, days: list[str]) -> Decimal:
    """What its slice cost on these days, as the explorer has it."""
    where = {key: (value,) for key, value in incident.slice.items() if key in KEYS}
    spans = [(date.fromisoformat(day), date.fromisoformat(day) + timedelta(days=1)) for day in days]
    totals = [explore(Selection(start, end, where=where)).total for start, end in spans]
    return sum((one.usage + one.idle for one in totals), Decimal(0))


def test_each_planted_story_is_found_and_hardly_anything_else(tmp_path, capsys):
    """In another world than that of `make demo`."""
    sample = write(tmp_path / "files", date(2026, 8, 10), 7, requests=REQUESTS)
    first = sample.end - DAYS
    load(sample, first)
    call_command("attribute", start=str(first), end=str(sample.end), workers=2)
    call_command("detect")

    incidents = list(Incident.objects.all())
    told = {story.name: [one for one in incidents if tells_of(one, story)] for story in sample.stories}
    assert {name: len(found) for name, found in told.items()} == dict.fromkeys(told, 1), [
        *map(str, incidents)
    ]
    others = [one for one in incidents if not any(one in found for found in told.values())]
    assert len(others) <= 3, [*map(str, others)]

    causes = {name: found[0].factors[0]["factor"] for name, found in told.items()}
    assert causes == {
        "spot replaced by on-demand": "price",
        "retry storm": "requests",
        "node left running": "machines",
        "launch": "launch",
        "prompt change": "tokens per request",
    }
    for story in sample.stories:
        (incident,) = told[story.name]
        assert incident.team == story.elsewhere["team"]

    for incident in incidents:
        assert sum(Decimal(one["amount"]) for one in incident.factors) == incident.change
        if not incident.resource:
            now, before = (incident.compared[span] for span in ("now", "before"))
            moved = (cost(incident, now) - cost(incident, before)) / len(now)
            assert incident.change == moved.quantize(Decimal("0.000001"))

    stored = list(Incident.objects.values())
    call_command("detect")
    assert list(Incident.objects.values()) == stored
