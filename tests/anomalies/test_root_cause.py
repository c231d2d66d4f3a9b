from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalies.root_cause import (
    END,
    IDLENESS,
    LAUNCH,
    MACHINES,
    MIX,
    PRICE,
    REQUESTS,
    TOKEN_PRICE,
    TOKENS,
    Span,
    contributions,
)

D = Decimal


def api(cost, requests, tokens, name="chat"):
    return Span(usage={name: D(cost)}, requests={name: requests}, tokens={name: tokens})


def machine(cost, seconds, idle, usage=0, requests=100):
    return Span(
        usage={"chat": D(usage)} if usage else {},
        requests={"chat": requests},
        idle=D(idle),
        machine_seconds={"node": seconds},
        machine_cost={"node": D(cost)},
        machine_idle={"node": D(idle)},
    )


def test_twice_the_tokens_a_request_is_all_tokens():
    assert contributions(api("10", 100, 5_000), api("20", 100, 10_000)) == {TOKENS: D(10)}


def test_a_storm_is_all_requests():
    assert contributions(api("10", 100, 5_000), api("40", 400, 20_000)) == {REQUESTS: D(30)}


def test_a_price_on_busy_and_idle_time_is_all_price():
    before = machine("24", 86_400, "12", "12")
    now = machine("72", 86_400, "36", "36")
    assert contributions(before, now) == {PRICE: D(48)}


def test_another_machine_that_serves_nothing_is_machines():
    before, now = machine("24", 86_400, "12", "12"), machine("24", 86_400, "12", "12")
    now.idle = D(36)
    for table, amount in (
        (now.machine_seconds, 86_400),
        (now.machine_cost, D(24)),
        (now.machine_idle, D(24)),
    ):
        table["forgotten"] = amount
    assert contributions(before, now) == {MACHINES: D(24)}


def test_a_dearer_machine_that_serves_nothing_leaves_the_price_of_what_is_served_alone():
    before, now = machine("24", 86_400, "12", "12"), machine("24", 86_400, "12", "12")
    now.idle = D(84)
    for table, amount in (
        (now.machine_seconds, 86_400),
        (now.machine_cost, D(72)),
        (now.machine_idle, D(72)),
    ):
        table["forgotten"] = amount
    assert contributions(before, now) == {MACHINES: D(72)}


def test_a_dearer_token_of_a_metered_api_is_its_price():
    assert contributions(api("10", 100, 5_000), api("15", 100, 5_000)) == {TOKEN_PRICE: D(5)}


def test_a_new_tenant_who_asks_like_the_others_is_more_requests():
    now = api("10", 100, 5_000, "acme")
    for table, amount in ((now.usage, D(10)), (now.requests, 100), (now.tokens, 5_000)):
        table["umbra"] = amount
    assert contributions(api("10", 100, 5_000, "acme"), now) == {REQUESTS: D(10)}


def test_fewer_requests_on_the_same_machine_turn_usage_into_idle():
    change = contributions(machine("24", 86_400, "12", "12", 100), machine("24", 86_400, "18", "6", 50))
    assert change == {REQUESTS: D(-6), IDLENESS: D(6)}


def test_what_was_not_there_before_is_a_launch():
    assert contributions(Span(), api("10", 100, 5_000)) == {LAUNCH: D(10)}


def test_what_is_gone_altogether_is_an_end():
    assert contributions(machine("24", 86_400, "12", "12"), Span()) == {END: D(-24)}


def test_a_dearer_mix_is_mix():
    before = Span(usage={"a": D(10), "b": D(100)}, requests={"a": 100, "b": 100})
    now = Span(usage={"a": D(5), "b": D(150)}, requests={"a": 50, "b": 150})
    assert contributions(before, now) == {MIX: pytest.approx(D(45), abs=D("1e-9"))}


costs = st.decimals("0", "1000000", places=12)
counts = st.integers(0, 10**9)
names = st.sampled_from(["a", "b", "c"])
machines = st.dictionaries(names, st.tuples(st.integers(1, 10**6), costs, st.integers(0, 100)))


@st.composite
def spans(draw):
    found = draw(machines)
    return Span(
        usage=draw(st.dictionaries(names, costs)),
        requests=draw(st.dictionaries(names, counts)),
        tokens=draw(st.dictionaries(names, counts)),
        idle=draw(costs),
        machine_seconds={name: seconds for name, (seconds, _, _) in found.items()},
        machine_cost={name: cost for name, (_, cost, _) in found.items()},
        machine_idle={name: cost * share / 100 for name, (_, cost, share) in found.items()},
    )


@given(spans(), spans())
def test_contributions_sum_to_the_change_exactly(before, now):
    change = sum(now.usage.values(), now.idle) - sum(before.usage.values(), before.idle)
    assert sum(contributions(before, now).values(), D(0)) == change
