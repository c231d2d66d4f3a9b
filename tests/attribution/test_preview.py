"""A policy tried out: what it would make of the days, to the last place, with nothing changed."""

import random
from contextlib import closing
from datetime import date
from decimal import Decimal

import pytest

from attribution import preview
from attribution.policy import PolicyError
from finops.core import warehouse
from finops.core.errors import UsageError
from tests import commands, worlds
from tests.attribution.allocated import attributed, given, policy
from tests.attribution.test_run import a_small_world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_core")]

SPAN = (date(2026, 1, 4), date(2026, 1, 6))
OTHER = """
[idle]
policy = "spread"
[tokens]
output = 7
[[rules]]
name = "compute"
when = { ServiceCategory = "Compute" }
then = { pool = "machines" }
[[pools]]
name = "machines"
driver = "requests"
"""

POOLED = """
[[rules]]
name = "machines"
when = { ResourceId = "i-*" }
then = { pool = "machines" }
[[pools]]
name = "machines"
driver = "requests"
"""


def costs(group):
    with closing(warehouse.connect()) as con:
        warehouse.open_view(con, "allocation_days")
        return dict(con.execute(f"select {group}, sum(cost) from allocation_days group by 1").fetchall())


def state():
    files = sorted(str(path) for path in warehouse.folder().rglob("*.parquet"))
    return warehouse.latest(), files


@pytest.mark.parametrize("seed", [3, 11])
def test_a_preview_is_what_applying_the_policy_then_gives_and_changes_nothing(tmp_path, seed):
    folder = worlds.random_world(random.Random(seed), tmp_path / "world")
    with commands.fresh_warehouse():
        commands.load(folder)
        commands.attribute(worlds.START, worlds.END)
        before, said = state(), {group: costs(group) for group in preview.GROUPS}
        found = preview.preview(OTHER, worlds.START, worlds.END, workers=2)
        assert state() == before

        policy(OTHER)
        commands.attribute(worlds.START, worlds.END)
        for group in preview.GROUPS:
            then = costs(group)
            now = {name: said[group].get(name, Decimal(0)) for name in said[group].keys() | then.keys()}
            assert {one.name: (one.now, one.then) for one in found.changes[group]} == {
                name: (cost, then.get(name, Decimal(0)))
                for name, cost in now.items()
                if cost != then.get(name, 0)
            }
        assert found.total_then == sum(costs("cost_type").values())


def test_a_preview_says_what_differs_and_which_charges_go_elsewhere():
    a_small_world()
    attributed("2026-01-04", "2026-01-05")
    found = preview.preview(
        '[[rules]]\nname = "old"\nwhen = { ResourceId = "i-*" }\nthen = { exclude = true }', *SPAN
    )
    assert found.reasons == ["rule 'old' is new"]
    assert [(one.rule, one.goes, one.then_rule, one.then_goes, one.cost) for one in found.rules] == [
        ("default:direct", "direct", "old", "exclude", Decimal(8))
    ]
    assert (found.total_now, found.total_then) == (8, 0)
    assert [(one.name, one.difference) for one in found.changes["team"]] == [("", -8)]


def test_the_policy_in_force_changes_nothing():
    a_small_world()
    text = '[[pools]]\nname = "p"\n'
    policy(text)
    attributed("2026-01-04", "2026-01-05")
    found = preview.preview(text, *SPAN)
    assert not any(found.changes.values())
    assert (found.reasons, found.rules, found.total_then) == ([], [], 8)


def test_what_came_since_a_day_was_attributed_is_no_effect_of_a_policy():
    a_small_world()
    given("owners", "name | team\n chat | nlp\n embed | nlp")
    attributed("2026-01-04", "2026-01-05")
    before = preview.preview(POOLED, *SPAN)
    assert any(before.changes.values())
    given("owners", "name | team\n chat | search\n embed | search")
    given("charges", "resource_id | period | effective_cost\n i-1 | 2026/01/04-2026/01/05 | 99")
    given(
        "requests", "time | model | tenant | resource_id | gpu_micro_ms\n 10:05 | chat | late | i-1 | 9000000"
    )
    assert not any(preview.preview("", *SPAN).changes.values())
    pending = preview.preview(POOLED, *SPAN)
    assert (pending.changes, pending.rules, pending.reasons) == (before.changes, before.rules, before.reasons)


def test_a_policy_that_waits_to_be_attributed_still_differs_from_what_is_published():
    a_small_world()
    attributed("2026-01-04", "2026-01-05")
    wanted = preview.preview(POOLED, *SPAN)
    assert any(wanted.changes.values())
    policy(POOLED)
    waiting = preview.preview(POOLED, *SPAN)
    assert (waiting.changes, waiting.reasons) == (wanted.changes, wanted.reasons)
    attributed("2026-01-04", "2026-01-05")
    assert not any(preview.preview(POOLED, *SPAN).changes.values())


def test_a_preview_needs_a_policy_and_days_that_are_attributed():
    given("hosts", "host | resource_id\n h-1 | i-1")
    with pytest.raises(PolicyError):
        preview.preview("[idle]\npolicy = 'nobody'", *SPAN)
    with pytest.raises(UsageError, match="no day from 2026-01-04 to before 2026-01-06 is attributed"):
        preview.preview("", *SPAN)
