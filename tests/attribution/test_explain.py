"""Where a figure came from: every explanation sums to what was published, to the last place."""

import io
import random
from collections import defaultdict
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from attribution import policies, queries
from attribution.evidence import WEEK_BEFORE, requests_behind
from attribution.explain import explain
from attribution.queries import Cells
from attribution.replay import Window
from finops.core import warehouse
from finops.core.access import Scope
from finops.core.errors import UsageError
from reports.queries import cost_by_day
from reports.selection import Span
from tests import commands, worlds
from tests.attribution.allocated import a_gpu_for_two_teams, attributed, given

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_core")]

ONE = timedelta(days=1)
ASKED = (
    ("model",),
    ("team", "cost_type"),
    ("statement", "billing_period"),
    ("tenant", "reason"),
    ("pool",),
    ("source", "service_category", "measure"),
    ("reached", "environment"),
)


def published(day, columns):
    """The sums of a day's allocations by these filters."""
    names = ", ".join(f"{queries.DERIVED.get(name, name)} as {name}" for name in columns)
    with closing(warehouse.connect()) as con:
        warehouse.open_view(con, "allocation_days", touching=(day, day + ONE))
        rows = con.execute(
            f"select {names}, sum(cost) from allocation_days where day = $day group by all", {"day": day}
        ).fetchall()
    return {tuple(values): cost for *values, cost in rows}


@pytest.mark.parametrize("seed", [3])
def test_every_explanation_sums_to_what_was_published(tmp_path, seed):
    folder = worlds.random_world(random.Random(seed), tmp_path / "world")
    chance = random.Random(seed)
    with commands.fresh_warehouse():
        commands.load(folder)
        commands.attribute(worlds.START, worlds.END)
        told = 0
        for day in queries.runs(worlds.START, worlds.END):
            for columns in ASKED:
                sums = published(day, columns)
                for values in chance.sample(sorted(sums), min(1, len(sums))):
                    where = dict(zip(columns, values, strict=True))
                    (found,) = explain(day, day + ONE, where)
                    assert found.total == sums[values], (day, where)
                    assert cost_by_day(Span(day, day + ONE), Cells(where)) == {day: sums[values]}
                    told += 1
            teams = Scope(frozenset({"nlp", ""}))
            (found,) = explain(day, day + ONE, scope=teams)
            assert found.total == sum(
                (cost for (team,), cost in published(day, ("team",)).items() if team in teams.teams),
                Decimal(0),
            )
        assert told


def test_the_requests_of_every_share_weigh_what_it_was_made_by(tmp_path):
    folder = worlds.random_world(random.Random(10), tmp_path / "world")
    with commands.fresh_warehouse():
        commands.load(folder)
        commands.attribute(worlds.START, worlds.END)
        measures = set()
        for found in explain(worlds.START, worlds.END):
            units = defaultdict(list)
            for share in found.shares:
                if share.unit:
                    window = Window(share.unit, share.window_start, share.hourly)
                    units[window, share.cost_type].append(share)
            for (window, cost_type), shares in units.items():
                cost = sum(share.cost for share in shares)
                behind = requests_behind(found.day, window, {"cost_type": cost_type}, limit=10_000)
                assert behind.cost == cost
                assert found.behind(shares[0], 10_000) == behind
                if behind.measure and behind.span != WEEK_BEFORE:
                    measures.add(behind.measure)
                    assert behind.weighed == behind.weight == sum(one.weight for one in behind.requests)
                    assert sum(one.cost for one in behind.requests) == cost
        assert measures == {"batch_tokens", "gpu_ms", "tokens"}


DAY = date(2026, 1, 5)
WINDOW = Window("g:GPU-0", datetime.fromisoformat("2026-01-05T10:00"), hourly=True)


def told(found):
    return [(one.request_id, one.weight, one.cost) for one in found.requests]


def test_a_share_leads_to_its_requests_with_the_cost_of_each():
    a_gpu_for_two_teams()
    found = requests_behind(DAY, WINDOW, {"cost_type": "usage"})
    assert told(found) == [
        ("b", 3_000_000, Decimal("3")),
        ("a", 1_000_000, Decimal("1")),
        ("c", 0, Decimal(0)),
    ]
    assert (found.measure, found.weighed, found.weight, found.cost) == ("gpu_ms", 4_000_000, 4_000_000, 4)
    found = requests_behind(DAY, WINDOW, {"cost_type": "usage", "tenant": "acme"})
    assert told(found) == [("a", 1_000_000, Decimal(1)), ("c", 0, Decimal(0))]
    assert told(requests_behind(DAY, WINDOW, {"cost_type": "usage"}, limit=1, offset=1)) == [
        ("a", 1_000_000, Decimal(1))
    ]


def test_a_request_of_another_team_is_never_shown():
    a_gpu_for_two_teams()
    search, nlp = Scope(frozenset({"search"})), Scope(frozenset({"nlp"}))
    assert [one for one, *_ in told(requests_behind(DAY, WINDOW, {"cost_type": "usage"}, search))] == [
        "a",
        "c",
    ]
    # Idle is borne by the model's owner, whose model served others' requests alone.
    idle = requests_behind(DAY, WINDOW, {"cost_type": "idle"}, nlp)
    assert (idle.count, idle.requests, idle.weighed, idle.weight) == (0, (), 4_000_000, 4_000_000)
    assert (idle.others_weight, idle.others_cost, idle.cost) == (4_000_000, 4, 4)
    assert requests_behind(DAY, WINDOW, {"cost_type": "idle"}, search) is None


def test_an_explanation_names_the_policy_the_owners_and_the_snapshot_of_that_time():
    a_gpu_for_two_teams()
    policies.apply("[idle]\npolicy = 'platform'", by="ann", reason="idle is ours")
    read = warehouse.latest()
    attributed(str(DAY))
    given("owners", "name | team\n chat | other")
    (found,) = explain(DAY, DAY + ONE, {"cost_type": "usage"})
    assert (found.run.computed_from, found.state.snapshot.pk, found.run.policy_version) == (read, read, 1)
    assert (found.state.policy.applied_by, found.state.policy.reason) == ("ann", "idle is ours")
    assert [(one.kind, one.name, one.team) for one in found.state.owners] == [("model", "chat", "nlp")]


def test_an_earlier_snapshot_explains_what_was_published_then():
    a_gpu_for_two_teams()
    then = warehouse.latest()
    given("charges", "resource_id | period | effective_cost\n i-1 | 10:00-11:00 | 10")
    attributed(str(DAY))
    assert [found.total for found in explain(DAY, DAY + ONE)] == [10]
    assert [found.total for found in explain(DAY, DAY + ONE, snapshot=then)] == [8]
    assert cost_by_day(Span(DAY, DAY + ONE), Cells({}), then) == {DAY: 8}
    assert requests_behind(DAY, WINDOW, {"cost_type": "idle"}, snapshot=then).cost == 4
    assert list(explain(DAY, DAY + ONE, snapshot=1)) == []


def test_a_machine_s_explanation_leads_to_the_requests_of_its_units():
    a_gpu_for_two_teams()
    out = io.StringIO()
    call_command("explain", start=str(DAY), end=str(DAY + ONE), where=["resource_id=i-1"], stdout=out)
    assert "requests behind idle of GPU GPU-0, 10:00: 3, " in out.getvalue()
    both = requests_behind(DAY, WINDOW, {"resource_id": "i-1", "cost_type": "usage"})
    assert both == requests_behind(DAY, WINDOW, {"cost_type": "usage"})
    assert requests_behind(DAY, WINDOW, {"resource_id": "i-2", "cost_type": "usage"}) is None


@pytest.mark.parametrize("snapshot", [999999, 0, -1])
def test_a_snapshot_that_is_not_there_is_refused(snapshot):
    a_gpu_for_two_teams()
    with pytest.raises(CommandError, match=f"there is no snapshot {snapshot}") as caught:
        commands.run("explain", "--start", "2026-01-05", "--end", "2026-01-06", snapshot=snapshot)
    assert caught.value.returncode == 2


def test_the_command_refuses_a_value_that_there_cannot_be_and_says_where_nothing_matches():
    a_gpu_for_two_teams()
    span = ("explain", "--start", "2026-01-05", "--end", "2026-01-07")
    with pytest.raises(CommandError, match="cost_type=foo: expected usage, idle") as caught:
        commands.run(*span, "--where", "cost_type=foo")
    assert caught.value.returncode == 2
    with pytest.raises(CommandError, match="no cost from 2026-01-05 to before 2026-01-07 has model=nope"):
        commands.run(*span, "--where", "model=nope")
    with pytest.raises(CommandError, match="no day from 2026-01-06 to before 2026-01-08 has been attributed"):
        commands.run("explain", "--start", "2026-01-06", "--end", "2026-01-08")


def test_the_command_ends_with_the_sum_of_several_days():
    a_gpu_for_two_teams()
    given(
        "charges",
        "resource_id | period | effective_cost\n i-1 | 10:00-11:00 | 8\n i-1 | 2026/01/06 10:00-2026/01/06 11:00 | 5",
    )
    attributed("2026-01-05", "2026-01-06")
    said = commands.run("explain", "--start", "2026-01-05", "--end", "2026-01-07")
    assert said.splitlines()[-1] == "2026-01-05 to before 2026-01-07, 2 days: 13.000000000000 USD"
    alone = commands.run("explain", "--start", "2026-01-05", "--end", "2026-01-06")
    assert "to before" not in alone


@pytest.mark.parametrize("option", ["limit", "requests"])
def test_the_command_shows_no_less_than_nothing(option):
    a_gpu_for_two_teams()
    with pytest.raises(CommandError, match=f"--{option} -1: expected 0 or more") as caught:
        commands.run("explain", "--start", "2026-01-05", "--end", "2026-01-06", **{option: -1})
    assert caught.value.returncode == 2


def test_a_resource_is_explained_as_the_sum_of_its_units():
    a_gpu_for_two_teams()
    cells = {"resource_id": "i-1"}
    assert cost_by_day(Span(DAY, DAY + ONE), Cells(cells)) == {DAY: 8}
    assert [found.total for found in explain(DAY, DAY + ONE, cells)] == [8]
    with pytest.raises(UsageError, match="all teams"):
        Cells(cells, Scope(frozenset({"search"})))
    with pytest.raises(UsageError, match="unknown filter 'colour'"):
        Cells({"colour": "red"})


def test_requests_are_weighed_with_all_that_decode_beside_them():
    given("hosts", "host | resource_id\n h-1 | i-1")
    given("charges", "resource_id | period | effective_cost\n i-1 | 10:00-11:00 | 8")
    given("gpu_samples", "hosts | uuid | time | busy\n h-1 | GPU-0 | 10:30 | 1000000")
    columns = "time | model | tenant | team | gpu_uuids | input_tokens | output_tokens | ttft_micro_ms | latency_micro_ms"
    timed = "nlp | GPU-0 | 10 | 100 | 100000000 | 4000000000"
    given(
        "requests",
        f"{columns}\n 2026-01-05 10:00:00 | chat | acme | {timed}\n 2026-01-05 10:00:01 | embed | globex | {timed}\n"
        f" 2026-01-05 10:00:02 | rank | acme | {timed}\n 2026-01-05 10:00:02 | rank | initech | {timed}\n 2026-01-05 10:59:59 | chat | acme | {timed}",
    )
    attributed(str(DAY))
    for model in ("chat", "embed", "rank"):
        found = requests_behind(DAY, WINDOW, {"cost_type": "usage", "model": model})
        assert found.measure == "batch_tokens"
        assert found.weighed == found.weight == sum(one.weight for one in found.requests)
        assert sum(one.cost for one in found.requests) == found.cost
