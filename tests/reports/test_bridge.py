import textwrap
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.core import warehouse
from finops.core.access import EVERYTHING, Scope
from finops.core.errors import UsageError
from finops.core.money import PLACE
from ingest.models import BilledPeriod, Delivery
from reports.bridge import Bridge, bridge_charges, bridges
from reports.queries import sql
from tests.reference import split
from tests.tables import fill

pytestmark = pytest.mark.django_db


def put(dataset: str, table: str) -> int:
    """Fill a dataset for one bill: AWS, account 1, September."""
    header, *lines = textwrap.dedent(table).strip().splitlines()
    header = f"source | billing_account | billing_period | file | {header}"
    return fill(dataset, "\n".join([header, *(f"aws | 1 | 2026-09 | f | {line}" for line in lines)]))


def put_charges(first: str = "8", currency: str = "USD") -> None:
    """Four charges; the effective cost of the first and the currency of the last may differ."""
    put(
        "charges",
        f"""
        line | billing_currency | charge_period_start  | charge_period_end    | billed_cost | effective_cost
        1    | USD              | 2026-09-01 10:00 UTC | 2026-09-01 11:00 UTC | 10          | {first}
        2    | USD              | 2026-09-01 00:00 UTC | 2026-09-04 00:00 UTC | 0           | 3
        3    | USD              | 2026-09-02 10:00 UTC | 2026-09-02 11:00 UTC | 5           | 5
        4    | {currency}       | 2026-09-02 10:00 UTC | 2026-09-02 11:00 UTC | 7           | 7
        """,
    )


def put_charge_days(pooled: str = "1", last: str = "not ours | exclude | USD | 7 | 7") -> None:
    """What became of them on the 1st and 2nd; the 3rd is not attributed yet."""
    put(
        "charge_days",
        f"""
        day        | line | rule            | disposition | original_currency | original_cost | cost
        2026-09-01 | 1    | default:direct  | direct      | USD               | 8             | 8
        2026-09-01 | 2    | support         | pool        | USD               | 1             | 1
        2026-09-02 | 2    | support         | pool        | USD               | {pooled}      | {pooled}
        2026-09-02 | 3    | default:exclude | exclude     | USD               | 5             | 5
        2026-09-02 | 4    | {last}
        """,
    )


def put_allocations(usage: str = "6", unallocated: str = "1") -> int:
    return put(
        "allocation_days",
        f"""
        day        | team | cost_type   | cost
        2026-09-01 | nlp  | usage       | {usage}
        2026-09-01 | nlp  | idle        | 2
        2026-09-01 | nlp  | shared      | 1
        2026-09-02 |      | unallocated | {unallocated}
        """,
    )


def only_bridge() -> Bridge:
    (bridge,) = bridges("2026-09", EVERYTHING)
    return bridge


def amounts(bridge: Bridge) -> dict[str, Decimal]:
    return {step.name: step.amount for step in bridge.steps}


def test_the_bridge_goes_from_the_invoice_to_the_allocations_and_ends_in_zero():
    put_charges()
    put_charge_days()
    put_allocations()
    bridge = only_bridge()
    assert amounts(bridge) == {
        "invoice": 22,
        "timing": 1,
        "effective": 23,
        "unconverted": 0,
        "excluded_by_rule": 7,
        "excluded_by_default": 5,
        "rounding": 0,
        "not_attributed": 1,
        "attributed": 10,
        "usage": 6,
        "idle": 2,
        "shared": 1,
        "unallocated": 1,
        "difference": 0,
    }
    assert bridge.is_reconciled
    assert bridge.open_days == (date(2026, 9, 3),)


def test_each_step_leads_to_its_charges():
    put_charges()
    put_charge_days()
    put_allocations()
    bridge = only_bridge()
    for step in bridge.steps:
        if step.has_charges:
            charges, count = bridge_charges(bridge, "USD", step.name)
            assert sum(charge.amount for charge in charges) == step.amount, step.name
            assert count == len(charges)
    (excluded,), _ = bridge_charges(bridge, "USD", "excluded_by_default")
    assert (excluded.file, excluded.line, excluded.rule) == ("f", 3, "default:exclude")
    (first,), count = bridge_charges(bridge, "USD", "effective", limit=1)
    assert (first.line, count) == (1, 4)
    with pytest.raises(UsageError):
        bridge_charges(bridge, "USD", "usage")


def test_what_is_lost_between_the_bill_and_the_allocations_shows_in_red():
    put_charges()
    put_charge_days()
    put_allocations(usage="5.99")
    bridge = only_bridge()
    assert bridge.difference == Decimal("0.01")
    assert not bridge.is_reconciled


def test_a_charge_part_that_the_attribution_forgot_shows_in_red_and_not_as_a_day_to_come():
    put_charges()
    put_charge_days(pooled="0.5")
    put_allocations(unallocated="0.5")
    bridge = only_bridge()
    assert bridge.difference == Decimal("0.5")
    assert bridge.open_days == (date(2026, 9, 3),)


def test_a_bill_restated_since_its_days_ran_waits_to_be_attributed_anew():
    put_charges()
    put_charge_days()
    put_allocations()
    put_charges(first="9")
    bridge = only_bridge()
    assert amounts(bridge)["not_attributed"] == 2
    assert bridge.is_reconciled
    assert bridge.open_days == (date(2026, 9, 1), date(2026, 9, 3))


@pytest.mark.parametrize("beyond", ["0.0000000000004", "0.0000000000004000000000000000000000000001"])
def test_the_digits_after_the_twelfth_place_are_a_line_of_their_own(beyond):
    put_charges()
    put_charge_days()
    BilledPeriod.objects.create(
        delivery=Delivery.objects.create(kind="billing", fingerprint="1"),
        source="aws",
        billing_account="1",
        billing_period="2026-09",
        currency="USD",
        rows=4,
        billed_cost="22",
        effective_cost=beyond.replace("0", "23", 1),
        since_snapshot=put_allocations(),
    )
    bridge = only_bridge()
    assert str(amounts(bridge)["effective"]) == beyond.replace("0", "23", 1)
    assert str(amounts(bridge)["timing"]) == beyond.replace("0", "1", 1)
    assert amounts(bridge)["rounding"] == Decimal(beyond)
    assert bridge.is_reconciled
    assert bridge.difference == 0


def test_each_currency_goes_its_own_way_down_to_what_is_converted():
    put_charges(currency="EUR")
    put_charge_days(last="default:direct | direct | EUR | 7 | 7.7")
    put_allocations(unallocated="8.7")
    bridge = only_bridge()
    euro, dollar = bridge.bills
    assert (euro.currency, euro.invoice, euro.attributed, euro.converted) == ("EUR", 7, 7, Decimal("7.7"))
    assert (dollar.currency, dollar.attributed, dollar.converted) == ("USD", 10, 10)
    assert bridge.is_reconciled
    assert [step.name for step in bridge.steps if step.currency == "EUR"][-1] == "attributed"


def test_a_charge_without_rate_is_named_in_its_own_currency():
    put_charges(currency="NOK")
    put_charge_days(last="default:direct | unconverted | NOK | 7 |")
    put_allocations()
    bridge = only_bridge()
    assert bridge.bills[0].unconverted == 7
    assert bridge.is_reconciled


def test_who_sees_only_own_teams_sees_no_bridge():
    put_charges()
    assert bridges("2026-09", Scope(frozenset({"nlp"}))) == []


@given(
    pico=st.integers(-(10**21), 10**21),
    start=st.integers(0, 3 * 24 * 3600),
    seconds=st.integers(0, 40 * 24 * 3600),
)
def test_a_charge_is_cut_at_midnights_as_money_is_split(pico, start, seconds):
    con = warehouse.connect(threads=1)
    begin = datetime(2026, 9, 1, tzinfo=UTC) + timedelta(seconds=start)
    end = begin + timedelta(seconds=seconds)
    con.execute(
        "create table charges as select 's' as source, 'a' as billing_account, '2026-09' as billing_period, 'f' as file, "
        "1 as line, 'USD' as billing_currency, $begin::TIMESTAMPTZ as charge_period_start, "
        "$end::TIMESTAMPTZ as charge_period_end, $cost::DECIMAL(38,12) as effective_cost",
        {"begin": begin, "end": end, "cost": pico * PLACE},
    )
    found = con.execute(
        f"select day, part from ({sql('charge_parts')}) order by day",
        {"period": "2026-09", "currency": "USD"},
    ).fetchall()
    if seconds <= 3600:
        assert found == [(begin.date(), pico * PLACE)]
        return
    cuts = [begin]
    while cuts[-1] < end:
        midnight = datetime(cuts[-1].year, cuts[-1].month, cuts[-1].day, tzinfo=UTC) + timedelta(days=1)
        cuts.append(min(midnight, end))
    weights = [int((b - a).total_seconds()) for a, b in pairwise(cuts)]
    assert found == [
        (cut.date(), part * PLACE) for cut, part in zip(cuts[:-1], split(pico, weights), strict=True)
    ]
