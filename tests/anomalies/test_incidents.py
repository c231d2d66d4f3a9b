"""What becomes of an incident from one run of detection to the next."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from anomalies.incidents import detect
from anomalies.models import Incident
from anomalies.queries import incidents, set_state
from attribution.models import Run
from tests.tables import fill

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_core")]

DAYS = [date(2026, 8, 3) + timedelta(days=n) for n in range(35)]
USUAL, DEARER = Decimal(100), Decimal(300)


def attributed(last: Decimal, usual: Decimal = USUAL) -> None:
    """Complete days of one model's usage, the last two of which cost so much."""
    costs = [usual] * (len(DAYS) - 2) + [last] * 2
    fill(
        "allocation_days",
        "day | model | tenant | feature | team | cost_type | cost\n"
        + "\n".join(
            f"{day} | chat | acme | ask | nlp | usage | {cost}" for day, cost in zip(DAYS, costs, strict=True)
        ),
    )
    fill(
        "request_days",
        "day | model | tenant | feature | team | requests | predictions | input_tokens | output_tokens\n"
        + "\n".join(f"{day} | chat | acme | ask | nlp | 10000 | 10000 | 100000 | 0" for day in DAYS),
    )
    Run.objects.all().delete()
    for day, cost in zip(DAYS, costs, strict=True):
        Run.objects.create(
            day=day,
            computed_from=1,
            snapshot=1,
            looked_from=day,
            looked_until=day,
            fingerprint="f",
            policy_version=1,
            complete=True,
            charged=cost,
            allocated=cost,
            seconds=0,
        )


def found(cost: Decimal) -> Incident:
    """The one incident there ever was, after detection where the last days cost so much."""
    attributed(cost)
    detect()
    return Incident.objects.get()


def test_an_incident_that_comes_back_to_the_figures_is_open_again():
    first = found(DEARER)
    gone = found(USUAL)
    assert (gone.state, gone.note) == ("resolved", "no longer in the figures")
    back = found(DEARER)
    assert (back.pk, back.state, back.note) == (first.pk, "open", "")
    assert list(incidents(state="open")) == [back]


def test_one_that_somebody_had_taken_up_before_it_went_is_open_again_too():
    set_state(found(DEARER), "acknowledged", User(username="ann"), "ours")
    gone = found(USUAL)
    assert (gone.state, gone.changed_by) == ("resolved", "")  # not by ann
    assert found(DEARER).state == "open"


def test_what_a_person_has_resolved_stays_so_whether_or_not_it_comes_back():
    set_state(found(DEARER), "resolved", User(username="ann"), "a load test")
    for cost in (DEARER, USUAL, DEARER):
        again = found(cost)
        assert (again.state, again.note, again.changed_by) == ("resolved", "a load test", "ann")


def test_an_incident_keeps_all_digits_so_that_its_factors_still_sum_to_its_change():
    attributed(Decimal("987654321987.654321"), usual=Decimal("123456789123.456789"))
    detect()
    incident = Incident.objects.get()
    assert incident.actual == Decimal("987654321987.654321")
    assert incident.change == Decimal("864197532864.197532")
    assert sum(Decimal(one["amount"]) for one in incident.factors) == incident.change
    assert incident.impact == (incident.actual - incident.expected) * incident.days
