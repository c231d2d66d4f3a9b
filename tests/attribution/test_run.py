"""What a run promises: the same bytes, only what changed, all or nothing."""

import hashlib
import random
from datetime import date, timedelta
from decimal import Decimal

import pytest

from attribution import day, policies, queries, run, steps
from attribution.models import PolicyChange, Run
from attribution.preview import preview
from attribution.reconciliation import NotConserved
from attribution.world import policies_in_force
from finops.core import warehouse
from finops.core.errors import UsageError
from tests import commands, worlds
from tests.attribution.allocated import (
    DAY,
    a_gpu_for_two_teams,
    assert_allocated,
    attributed,
    given,
    policy,
)

pytestmark = pytest.mark.django_db

WRITTEN = (*day.ROLLED_UP, *day.WRITTEN)


def a_small_world():
    given("hosts", "host | resource_id\n h-1 | i-1")
    given(
        "charges",
        """
        resource_id | period                | effective_cost
        i-1         | 2026/01/04-2026/01/05 | 3
        i-1         | 2026/01/05-2026/01/06 | 5
        i-1         | 2026/01/06-2026/01/07 | 7
    """,
    )
    given(
        "requests",
        """
        time             | model | tenant | resource_id | gpu_micro_ms
        2026-01-04 10:05 | chat  | acme   | i-1         | 1000000
        10:05            | chat  | acme   | i-1         | 2000000
        11:05            | embed | globex | i-1         | 1000000
    """,
    )


def in_force(datasets=WRITTEN):
    """The bytes of every file in force, by partition."""
    return {
        (file.dataset, file.partition): hashlib.sha256(
            (warehouse.folder() / file.path).read_bytes()
        ).hexdigest()
        for file in warehouse.in_force()
        if file.dataset in datasets
    }


def days(first, count):
    return [date.fromisoformat(first) + timedelta(days=number) for number in range(count)]


def test_a_day_run_again_by_force_has_the_same_bytes():
    a_small_world()
    run.attribute(days("2026-01-04", 3))
    before = in_force()
    report = run.attribute(days("2026-01-04", 3), force=True)
    assert report.attributed == days("2026-01-04", 3)
    assert in_force() == before


def test_a_run_keeps_what_was_charged_and_allocated_to_the_last_of_twelve_places():
    given("hosts", "host | resource_id\n h-1 | i-1")
    given("charges", "resource_id | period | effective_cost\n i-1 | 10:00-11:00 | 123456789012.123456789012")
    attributed()
    kept = Run.objects.get(day=DAY)
    assert kept.charged == kept.allocated == Decimal("123456789012.123456789012")


def test_days_side_by_side_give_the_same_bytes_as_one_after_the_other(tmp_path):
    folder = worlds.random_world(random.Random(11), tmp_path / "world")
    said = []
    for workers in (1, 3):
        with commands.fresh_warehouse():
            commands.load(folder)
            commands.attribute(worlds.START, worlds.END, workers=workers)
            said.append(in_force(day.WRITTEN))
    assert said[0] == said[1]
    assert said[0]


def test_days_whose_inputs_did_not_change_are_left_alone():
    a_small_world()
    run.attribute(days("2026-01-04", 3))
    report = run.attribute(days("2026-01-04", 3))
    assert (report.attributed, report.rolled_up) == ([], [])
    assert report.unchanged == days("2026-01-04", 3)


def test_a_late_request_costs_its_day_and_days_that_looked_back_at_it():
    a_small_world()
    run.attribute(days("2026-01-04", 3))
    given(
        "requests", "time | model | tenant | resource_id | gpu_micro_ms\n 12:05 | chat | acme | i-1 | 9000000"
    )
    report = run.attribute(days("2026-01-04", 3))
    assert report.reasons == {
        date(2026, 1, 5): "requests",
        date(2026, 1, 6): "requests of the 7 days before",
    }
    assert report.rolled_up == days("2026-01-05", 1)
    assert report.attributed == days("2026-01-05", 2)
    assert report.unchanged == days("2026-01-04", 1)


def test_a_late_request_leaves_later_days_alone_that_have_requests_of_their_own():
    a_small_world()
    given(
        "requests",
        """
        time             | model | tenant | resource_id | gpu_micro_ms | source
        2026-01-04 10:05 | chat  | acme   | i-1         | 1000000      | other
        2026-01-05 10:05 | chat  | acme   | i-1         | 1000000      | other
        2026-01-06 10:05 | chat  | acme   | i-1         | 1000000      | other
    """,
    )
    run.attribute(days("2026-01-04", 3))
    late = "time | model | tenant | resource_id | gpu_micro_ms | source\n 2026-01-04 12:05 | chat | umbrella | i-1"
    given("requests", f"{late} | 9000000 | late")
    assert run.attribute(days("2026-01-04", 3)).attributed == days("2026-01-04", 1)
    given("requests", f"{late.replace('gpu_micro_ms | ', '')} | later")
    report = run.attribute(days("2026-01-04", 3))
    assert report.reasons == {
        date(2026, 1, 4): "requests",
        date(2026, 1, 5): "measures of the day before",  # it no longer measures worse than the day before
    }


def test_an_owners_file_that_says_the_same_of_a_day_leaves_it_alone():
    a_small_world()
    given("hosts", "host | resource_id | valid_to\n h-1 | i-1 |\n h-2 | i-2 | 2025-12-01 00:00")
    owners = "name | team | valid_from | cost_center\n chat | nlp | | CC-1"
    given("owners", owners)
    run.attribute(days("2026-01-04", 3))
    given("hosts", "host | resource_id\n h-1 | i-1")
    given("owners", owners.replace("CC-1", "CC-2"))
    assert run.attribute(days("2026-01-04", 3)).attributed == []
    given("owners", f"{owners}\n embed | vision | 2026-01-05 12:00 | CC-3")
    report = run.attribute(days("2026-01-04", 3))
    assert (report.attributed, report.rolled_up) == (days("2026-01-05", 2), days("2026-01-05", 1))
    assert report.reasons[date(2026, 1, 5)] == "owners"


def test_an_owner_named_from_a_day_s_midnight_on_is_the_same_as_one_named_since_ever():
    a_small_world()
    given("owners", "name | team\n chat | nlp")
    run.attribute(days("2026-01-05", 1))
    given(
        "owners",
        """
        name | team | valid_from       | valid_to
        chat | ops  |                  | 2026-01-05 00:00
        chat | nlp  | 2026-01-05 00:00 | 2026-01-06 00:00
    """,
    )
    report = run.attribute(days("2026-01-05", 1))
    assert (report.unchanged, report.rolled_up) == (days("2026-01-05", 1), days("2026-01-04", 1))


def test_a_second_source_that_names_the_same_machines_rolls_up_no_later_day():
    a_small_world()
    named = "source | day | names\n gateway | 2026-01-04 | i-1\n"
    given("named_resources", named)
    run.attribute(days("2026-01-04", 2))
    given("named_resources", named + "other | 2026-01-04 | i-1")
    assert run.attribute(days("2026-01-04", 2)).rolled_up == []
    given("named_resources", named + "other | 2026-01-04 | i-2")
    assert run.attribute(days("2026-01-04", 2)).rolled_up == days("2026-01-04", 2)


def test_a_run_that_is_kept_goes_on_saying_what_it_was_computed_from():
    a_small_world()
    run.attribute(days("2026-01-05", 1))
    closed = warehouse.latest()
    (then,) = queries.runs(snapshot=closed).values()
    for number in (1, 2):
        given("owners", f"name | team | valid_from\n chat | team-{number} | 2026-02-01 00:00")
        report = run.attribute(days("2026-01-05", 1), kept_until=closed)
        assert report.unchanged == days("2026-01-05", 1)
        (kept,) = queries.runs(snapshot=closed).values()
        (now,) = queries.runs().values()
        assert (kept.pk, kept.computed_from) == (then.pk, then.computed_from)
        assert now.computed_from == warehouse.latest() > closed
    assert Run.objects.count() == 2


def test_a_charge_of_another_day_leaves_a_day_alone():
    a_small_world()
    run.attribute(days("2026-01-04", 3))
    given(
        "charges",
        """
        resource_id | period                | effective_cost
        i-1         | 2026/01/04-2026/01/05 | 3
        i-1         | 2026/01/05-2026/01/06 | 5
        i-1         | 2026/01/06-2026/01/07 | 8
    """,
    )
    report = run.attribute(days("2026-01-04", 3))
    assert (report.rolled_up, report.reasons) == ([], {date(2026, 1, 6): "charges"})


def test_a_policy_that_touches_only_pools_rolls_up_no_requests_again():
    a_small_world()
    run.attribute(days("2026-01-04", 3))
    policy('[[pools]]\nname = "support"\n')
    report = run.attribute(days("2026-01-04", 3))
    assert (report.rolled_up, report.attributed) == ([], days("2026-01-04", 3))


def test_a_policy_with_other_token_weights_rolls_up_again():
    a_small_world()
    run.attribute(days("2026-01-04", 3))
    policy("[tokens]\noutput = 5\n")
    report = run.attribute(days("2026-01-04", 3))
    assert report.rolled_up == days("2026-01-04", 2)


@pytest.mark.parametrize(
    ("step", "what_it_does"),
    [
        ("direct", "update direct_part set pico = pico + 1"),
        ("direct", "delete from direct_part where cost_type = 'usage'"),
        ("allocations", "update allocation set pico = pico - 1"),
        ("allocations", "insert into allocation from allocation limit 1"),
    ],
)
def test_a_step_that_loses_or_makes_money_publishes_nothing(monkeypatch, step, what_it_does):
    a_small_world()
    whole = steps.text
    monkeypatch.setattr(
        steps,
        "text",
        lambda name, **blanks: whole(name, **blanks) + (f";{what_it_does}" if name == step else ""),
    )
    with pytest.raises(NotConserved, match=r"charged 5\.0{12}, "):
        attributed(DAY)
    assert not in_force(day.WRITTEN)
    assert not Run.objects.exists()


def test_a_policy_that_holds_from_a_day_leaves_earlier_days_as_they_are():
    a_small_world()
    policy("")
    run.attribute(days("2026-01-04", 3))
    before = in_force()
    applied = policies.apply(
        '[idle]\npolicy = "platform"', holds_from=date(2026, 1, 5), by="ann", reason="idle is ours"
    )
    assert applied == (2, True, date(2026, 1, 5))
    report = run.attribute(days("2026-01-04", 3))
    assert report.reasons == dict.fromkeys(days("2026-01-05", 2), "policy")
    first_day = {file: said for file, said in in_force().items() if file[1] == "2026-01-04"}
    assert first_day == {file: said for file, said in before.items() if file[1] == "2026-01-04"}
    assert [one.policy_version for one in Run.objects.order_by("day", "id")] == [1, 1, 2, 1, 2]
    change = PolicyChange.objects.get(version=2)
    assert (change.applied_by, change.reason, change.holds_from) == ("ann", "idle is ours", date(2026, 1, 5))


def test_the_newest_of_two_policies_from_a_day_replaces_those_after_it():
    policies.apply("")
    policies.apply("[tokens]\noutput = 5", holds_from=date(2026, 2, 1))
    policies.apply("[tokens]\noutput = 6", holds_from=date(2026, 1, 1))
    assert [(one.version, one.holds_from) for one in policies_in_force()] == [
        (1, None),
        (3, date(2026, 1, 1)),
    ]
    assert policies.apply("[tokens]\noutput = 6", holds_from=date(2026, 3, 1))[:2] == (3, False)
    assert policies.apply("[tokens]\noutput = 6") == (4, True, None)
    assert [(one.version, one.holds_from) for one in policies_in_force()] == [(4, None)]


def test_a_month_that_is_closed_while_a_policy_is_put_in_force_keeps_its_own():
    policies.apply("")

    def closed_meanwhile():
        """January, once it has been asked whether it is."""
        asked.append("")
        return date(2026, 2, 1) if len(asked) > 1 else None

    asked = []
    applied = policies.apply("[tokens]\noutput = 5", first_open=closed_meanwhile)
    assert applied == (2, True, date(2026, 2, 1))
    assert [(one.version, one.holds_from) for one in policies_in_force()] == [
        (1, None),
        (2, date(2026, 2, 1)),
    ]
    asked = []
    with pytest.raises(UsageError, match="2026-01 is closed, or before a month that is: it keeps its policy"):
        policies.apply("[tokens]\noutput = 6", holds_from=date(2026, 1, 1), first_open=closed_meanwhile)
    assert len(policies_in_force()) == 2


def test_a_log_that_comes_while_its_day_is_rolled_up_is_attributed_with_it():
    given("hosts", "host | resource_id\n h-1 | i-1")
    given("charges", "resource_id | period | effective_cost\n i-1 | 2026/01/05-2026/01/06 | 10")
    request = "time | model | tenant | resource_id | gpu_micro_ms | source\n 10:05 | chat"
    given("requests", f"{request} | acme | i-1 | 1000000 | gateway")
    stages = []

    def deliver(stage, *_):
        if not stages:
            given("requests", f"{request} | globex | i-1 | 3000000 | other")
        stages.append(stage)

    run.attribute([date.fromisoformat(DAY)], progress=deliver)
    assert stages == ["roll-up", "roll-up", "attribution"]
    assert_allocated("tenant | cost\n acme | 2.5\n globex | 7.5")


def test_the_first_policy_that_holds_from_a_day_leaves_days_before_it_to_the_defaults():
    a_gpu_for_two_teams()
    before = in_force()
    text = '[idle]\npolicy = "platform"'
    (tried,) = preview(text, date(2026, 1, 5), date(2026, 1, 6), holds_from=date(2026, 2, 1)).days
    policies.apply(text, holds_from=date(2026, 2, 1))
    report = run.attribute([tried])
    assert (report.attributed, in_force()) == ([], before)


@pytest.mark.parametrize("tag", ["a;b", "$day", "it's {rule}; $nothing", "--", "/*"])
def test_a_policy_s_texts_are_texts_whatever_they_look_like(tag):
    given("charges", f'period | effective_cost | tags\n 10:00-11:00 | 8 | {{"cost": "{tag}"}}')
    policy(
        f'[[rules]]\nname = "{tag}"\nwhen = {{ "Tags.cost" = "{tag}" }}\nthen = {{ pool = "p;$day" }}\n'
        f'[[pools]]\nname = "p;$day"\ndriver = "direct_cost"\nscope = {{ team = "{tag}" }}\n'
    )
    assert_allocated("pool | cost_type | reason | cost\n p;$day | unallocated | no_driver | 8")
