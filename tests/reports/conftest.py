"""Readers of every role, and a small warehouse that each page has something to show of."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User

from anomalies.models import Incident
from finops.core.models import TeamMember
from tests.reports.mails import Sink, listening
from tests.tables import fill


def person(name: str, *roles: str, teams: tuple[str, ...] = ()) -> User:
    user = User.objects.create_user(name, password="secret")
    for role in roles:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    TeamMember.objects.bulk_create(TeamMember(user=user, team=team) for team in teams)
    return user


@pytest.fixture
def finance(db):
    return person("fiona", "finance")


@pytest.fixture
def engineer(db):
    return person("ed", "engineer")


@pytest.fixture
def owner(db):
    """Sees the team `search` alone."""
    return person("owen", "owner", teams=("search",))


def costs(*, rows: int = 1) -> None:
    """September's bill, attributed: two teams, no owner and the platform; `rows` models of each team."""
    charges, taken, allocated, served = [], [], [], []
    line = 0
    for day in ("2026-09-07", "2026-09-08"):
        for team, amount in (("search", "3.00"), ("nlp", "5.00")):
            for number in range(rows):
                line += 1
                charges.append(f"{line} | {day} 10:00 UTC | {amount} | {amount}")
                taken.append(f"{day} | {line} | default:direct | direct | {amount} | {amount}")
                usage = f"{float(amount) - 1:.2f}"
                key = f"{team}-model-{number} | home | acme | {team}"
                allocated.append(f"{day} | {key} | usage | | {usage}")
                allocated.append(f"{day} | {key} | idle | | 1.00")
                served.append(f"{day} | {key} | 10 | 1 | 2 | 9 | 1000 | 100 | 500")
        line += 1
        charges.append(f"{line} | {day} 11:00 UTC | 0.50 | 0.50")
        taken.append(f"{day} | {line} | default:direct | direct | 0.50 | 0.50")
        allocated.append(f"{day} | | | | | unallocated | no_requests | 0.50")
        line += 1
        charges.append(f"{line} | {day} 12:00 UTC | 2.00 | 2.00")
        taken.append(f"{day} | {line} | default:exclude | exclude | 2.00 | 2.00")
    where = "aws | 1001 | 2026-09 | bill.csv | USD"
    columns = "source | billing_account | billing_period | file"
    fill(
        "charges",
        f"{columns} | billing_currency | line | charge_period_start | billed_cost | effective_cost\n"
        + "\n".join(f"{where} | {row}" for row in charges),
    )
    fill(
        "charge_days",
        f"{columns} | original_currency | day | line | rule | disposition | original_cost | cost\n"
        + "\n".join(f"{where} | {row}" for row in taken),
    )
    fill(
        "allocation_days",
        "source | billing_account | billing_period | day | model | feature | tenant | team | cost_type | reason | cost\n"
        + "\n".join(f"aws | 1001 | 2026-09 | {row}" for row in allocated),
    )
    fill(
        "request_days",
        "day | model | feature | tenant | team | requests | failed_requests | cached_requests | predictions"
        " | input_tokens | cached_input_tokens | output_tokens\n" + "\n".join(served),
    )
    fill(
        "unmatched",
        "day | kind | name | cost | rows | remedy\n"
        "2026-09-07 | excluded_charge | i-9 | 4.00 | 2 | hosts.csv: HOST,i-9",
    )


@pytest.fixture
def incidents(db):
    """One of the team `search`, one of `nlp`."""
    for number, team in enumerate(("search", "nlp"), 1):
        Incident.objects.create(
            pk=number,
            model=f"{team}-model-0",
            metric="cost",
            onset=date(2026, 9, 8),
            last_day=date(2026, 9, 8),
            days=1,
            direction="up",
            ongoing=True,
            settled=False,
            launch=False,
            team=team,
            actual=Decimal(3),
            expected=Decimal(1),
            impact=Decimal(2),
            series=[
                {"day": "2026-09-07", "actual": "1", "expected": None, "lower": None, "upper": None},
                {"day": "2026-09-08", "actual": "3", "expected": "1", "lower": "0.5", "upper": "1.5"},
            ],
            moved=[],
            factors=[{"factor": "price", "amount": "2"}],
            slices=[{"key": "tenant", "value": "acme", "team": team, "amount": "2"}],
            change=Decimal(2),
            compared={"now": ["2026-09-08"], "before": ["2026-09-07"]},
            snapshot=1,
        )


@pytest.fixture
def september(db):
    costs()


@pytest.fixture
def sink(settings) -> Iterator[Sink]:
    with listening() as found:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", found.port
        yield found
