from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connections

from finops.core.access import EVERYTHING, Scope
from reports.matching import charges_taken, match_report, share_attributed
from tests.tables import fill

pytestmark = pytest.mark.django_db

SEPTEMBER = (date(2026, 9, 1), date(2026, 10, 1))


def test_what_did_not_meet_is_summed_over_the_days_and_the_most_cost_comes_first():
    fill(
        "unmatched",
        """
        day        | kind                | name | cost | rows | remedy
        2026-09-01 | excluded_charge     | EC2  | 1.5  | 2    | add the rule of the 1st
        2026-09-02 | excluded_charge     | EC2  | 1.5  | 3    | add a rule
        2026-09-02 | model_without_owner | chat | 9    | 7    | model,chat,TEAM,,,,
        2026-09-03 | unknown_host        | n1   | 0    | 5    | n1,RESOURCE,,
        2026-10-01 | unknown_host        | n2   | 99   | 5    | n2,RESOURCE,,
    """,
    )
    found = match_report(*SEPTEMBER, EVERYTHING)
    assert [(one.kind, one.name, one.cost, one.rows, one.days) for one in found] == [
        ("model_without_owner", "chat", 9, 7, 1),
        ("excluded_charge", "EC2", 3, 5, 2),
        ("unknown_host", "n1", 0, 5, 1),
    ]
    assert found[0].remedy == "model,chat,TEAM,,,,"
    assert found[0].what == "Models without owner"
    assert found[1].remedy == "add a rule"
    assert match_report(*SEPTEMBER, Scope(frozenset({"nlp"}))) == []


def test_the_share_attributed_cannot_look_good_by_excluding():
    fill(
        "charge_days",
        """
        day        | rule            | disposition | original_currency | original_cost | cost
        2026-09-01 | default:direct  | direct      | USD               | 6             | 6
        2026-09-01 | support         | pool        | USD               | 2             | 2
        2026-09-01 | default:exclude | exclude     | USD               | 4             | 4
        2026-09-01 | not ours        | exclude     | USD               | 100           | 100
        2026-09-01 | default:direct  | unconverted | NOK               | 50            |
    """,
    )
    fill(
        "allocation_days",
        """
        day        | model | team | region | cost_type   | cost
        2026-09-01 | chat  |      |        | usage       | 5
        2026-09-01 |       | nlp  |        | shared      | 1
        2026-09-01 |       |      | eu     | shared      | 1
        2026-09-01 |       |      |        | unallocated | 1
    """,
    )
    share = share_attributed(*SEPTEMBER)
    assert (share.reached, share.base, share.share) == (6, 12, Decimal("0.5"))
    assert share.excluded_by_rule == 100
    assert share.unconverted == {"NOK": 50}


def test_where_there_is_no_cost_there_is_no_share():
    assert share_attributed(*SEPTEMBER).share is None


@pytest.mark.django_db(transaction=True)
def test_readers_at_the_same_time_are_told_the_charges_of_their_own_days():
    days = [date(2026, 9, number) for number in range(1, 9)]
    fill(
        "charge_days",
        "day | disposition | original_cost | cost\n"
        + "\n".join(f"{day} | exclude | {day.day} | {day.day}" for day in days),
    )

    def costs_of(day: date) -> set[Decimal]:
        found = [charges_taken(day, day + timedelta(days=1), {}, limit=10) for _ in range(20)]
        connections.close_all()
        return {one.cost for one in found} | {charge.cost for one in found for charge in one.charges}

    with ThreadPoolExecutor(4) as readers:
        assert list(readers.map(costs_of, days)) == [{Decimal(day.day)} for day in days]
