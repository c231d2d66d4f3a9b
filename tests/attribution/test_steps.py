"""The steps of attribution, a sentence for each of their rules."""

from contextlib import closing

import pytest

from attribution.rollup import SameHash
from finops.core import warehouse
from tests.attribution.allocated import assert_allocated, attributed, given, policy, rows_of
from tests.tables import fill

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_core")]

SCORING_FOR_SEARCH = """
    time  | model   | team   | resource_id
    10:05 | scoring | search | i-1
"""


def one_machine(cost: str = "4", period: str = "10:00-11:00") -> None:
    given("hosts", "host | resource_id\n h-1 | i-1")
    given("charges", f"resource_id | period | effective_cost\n i-1 | {period} | {cost}")


# 1. Owners


def test_a_request_without_team_is_its_features_owners_else_its_models_owners():
    one_machine("3")
    given(
        "requests",
        """
        time  | model | feature | team   | resource_id
        10:01 | chat  | help    |        | i-1
        10:02 | chat  |         |        | i-1
        10:03 | chat  | help    | vision | i-1
    """,
    )
    given(
        "owners",
        """
        kind    | name | team
        model   | chat | nlp
        feature | help | support
    """,
    )
    assert_allocated("""
        team    | cost_type | cost
        nlp     | usage     | 1
        support | usage     | 1
        vision  | usage     | 1
    """)


def test_an_owner_holds_from_its_first_moment_and_not_at_its_last():
    one_machine("2", "10:00-12:00")
    given(
        "requests",
        """
        time  | model | team | resource_id
        10:30 | chat  |      | i-1
        11:30 | chat  |      | i-1
    """,
    )
    given(
        "owners",
        """
        name | team   | valid_from | valid_to
        chat | before |            | 11:00
        chat | after  | 11:00      |
    """,
    )
    assert_allocated("""
        hour  | team   | cost
        10:00 | before | 1
        11:00 | after  | 1
    """)


def test_the_owner_of_an_hour_is_the_one_at_its_start():
    one_machine("1")
    given("requests", SCORING_FOR_SEARCH.replace("search", "      "))
    given(
        "owners",
        """
        name    | team   | valid_from | valid_to
        scoring | before |            | 10:01
        scoring | after  | 10:01      |
    """,
    )
    assert_allocated("team | cost\n before | 1")


# 2. Rules


def dispositions() -> list[str]:
    attributed()
    rows = rows_of("charge_days", ["line", "rule", "disposition", "cost"])
    return [f"{row['rule']} {row['disposition']}".strip() for row in rows]


def test_without_a_rule_a_known_resource_is_direct_a_tag_names_a_model_and_the_rest_is_excluded():
    given("hosts", "host | resource_id\n h-1 | i-1")
    given(
        "charges",
        """
        resource_id | tags              | period      | effective_cost
        i-1         | {"model": "chat"} | 10:00-11:00 | 1
        i-2         | {"model": "chat"} | 10:00-11:00 | 2
        i-2         | {}                | 10:00-11:00 | 4
    """,
    )
    assert dispositions() == ["default:direct direct", "default:model model", "default:exclude exclude"]
    assert_allocated("model | cost_type | cost\n chat | idle | 1\n chat | usage | 2")


def test_the_first_rule_that_matches_wins():
    policy("""
        [[rules]]
        name = "storage"
        when = { ServiceName = ["AmazonS3", "AmazonEFS"], "Tags.env" = "prod" }
        then = { model = "chat" }
        [[rules]]
        name = "any storage"
        when = { ServiceName = "Amazon*" }
        then = { exclude = true }
    """)
    given(
        "charges",
        """
        service_name | tags            | period      | effective_cost
        AmazonS3     | {"env": "prod"} | 10:00-11:00 | 1
        AmazonS3     | {"env": "test"} | 10:00-11:00 | 2
        AmazonS3     | {}              | 10:00-11:00 | 4
        amazons3     | {"env": "prod"} | 10:00-11:00 | 8
    """,
    )
    assert dispositions() == [
        "storage model",
        "any storage exclude",
        "any storage exclude",
        "default:exclude exclude",
    ]


def test_an_empty_pattern_matches_empty_null_and_missing_alike():
    policy('[[rules]]\nname = "untagged"\nwhen = { "Tags.team" = "" }\nthen = { model = "chat" }')
    given(
        "charges",
        """
        tags            | period      | effective_cost
        {}              | 10:00-11:00 | 1
        {"team": ""}    | 10:00-11:00 | 2
        {"team": null}  | 10:00-11:00 | 4
        {"team": "nlp"} | 10:00-11:00 | 8
    """,
    )
    assert dispositions() == ["untagged model"] * 3 + ["default:exclude exclude"]


@pytest.mark.parametrize(
    ("named", "known"),
    [("2026-01-05", True), ("2025-12-29", True), ("2025-12-28", False), ("2026-01-06", False)],
)
def test_a_resource_is_known_by_who_names_it_on_the_charges_day_or_the_seven_before(named: str, known: bool):
    given("charges", "resource_id | period | effective_cost\n i-9 | 10:00-11:00 | 1")
    given("named_resources", f"day | names\n {named} | i-9")
    assert dispositions() == ["default:direct direct" if known else "default:exclude exclude"]


def test_a_metrics_host_that_no_inventory_knows_is_a_resource_of_that_name():
    given("charges", "resource_id | period | effective_cost\n node-7 | 10:00-11:00 | 1")
    given("named_resources", "day | kind | names\n 2026-01-05 | gpu | node-7")
    assert dispositions() == ["default:direct direct"]


# 3. Windows and currencies


def test_a_charge_of_an_hour_belongs_to_the_hour_in_which_it_starts():
    given("hosts", "host | resource_id\n h-1 | i-1")
    given("charges", "resource_id | period | effective_cost\n i-1 | 10:30-11:30 | 1")
    given(
        "requests",
        """
        time  | model   | resource_id
        10:05 | scoring | i-1
        11:05 | chat    | i-1
    """,
    )
    assert_allocated("hour | model | cost\n 10:00 | scoring | 1")


def test_a_longer_charge_is_cut_at_midnights_in_proportion_to_seconds():
    one_machine("24", "2026/01/04 18:00-2026/01/06 18:00")
    attributed("2026-01-04", "2026-01-05", "2026-01-06")
    assert rows_of("charge_days", ["day", "cost"]) == [
        {"day": "2026-01-04", "cost": "3"},
        {"day": "2026-01-05", "cost": "12"},
        {"day": "2026-01-06", "cost": "9"},
    ]


def test_a_day_long_charge_is_spread_by_what_ran_and_not_over_24_hours():
    one_machine("4", "2026/01/05-2026/01/06")
    given(
        "requests",
        """
        time  | model | resource_id | gpu_micro_ms
        03:05 | chat  | i-1         | 1000000
        20:05 | chat  | i-1         | 3000000
    """,
    )
    assert_allocated("hour | cost\n 03:00 | 1\n 20:00 | 3")


def test_a_foreign_charge_is_converted_day_by_day_at_a_rate_of_at_most_seven_days():
    given("hosts", "host | resource_id\n h-1 | i-1")
    given(
        "charges",
        """
        resource_id | period                | effective_cost | billing_currency
        i-1         | 2026/01/05-2026/01/07 | 2              | EUR
    """,
    )
    given(
        "rates",
        """
        date       | currency | rate
        2025-12-30 | EUR      | 3
        2026-01-06 | EUR      | 1.5
    """,
    )
    attributed("2026-01-05", "2026-01-06")
    assert rows_of("charge_days", ["day", "original_cost", "disposition", "cost"]) == [
        {"day": "2026-01-05", "original_cost": "1.000000000000", "disposition": "direct", "cost": "3"},
        {"day": "2026-01-06", "original_cost": "1.000000000000", "disposition": "direct", "cost": "1.5"},
    ]


def test_a_charge_with_a_day_without_rate_stays_out_whole():
    given(
        "charges",
        """
        resource_id | period                | effective_cost | billing_currency
        i-1         | 2026/01/05-2026/01/07 | 2              | EUR
    """,
    )
    given("rates", "date | currency | rate\n 2025-12-29 | EUR | 3")
    policy('[[rules]]\nname = "ours"\nwhen = { ResourceId = "i-1" }\nthen = { exclude = true }')
    attributed()
    assert rows_of("charge_days", ["rule", "disposition", "original_cost"]) == [
        {"rule": "ours", "disposition": "unconverted", "original_cost": "1.000000000000", "cost": ""}
    ]
    assert rows_of("allocations", ["cost_type"]) == []


# 4. Units


SAMPLES = """
    time  | uuid  | instance | profile  | gpu_model | hosts | busy
"""


def test_a_resources_cost_is_split_equally_over_its_gpus_in_order_of_uuid():
    one_machine("0.000000000001")
    given(
        "gpu_samples",
        SAMPLES
        + """
        10:05 | GPU-b |          |          | L4        | h-1   | 1000000
        10:05 | GPU-a |          |          | L4        | h-1   | 0
    """,
    )
    attributed()
    assert rows_of("unit_windows", ["uuid", "busy"]) == [
        {"uuid": "GPU-b", "busy": "1000000", "cost": "0.000000000001"}
    ]


def test_a_mig_gpu_is_split_by_slices_of_seven_and_the_remainder_is_never_busy():
    one_machine("7")
    given(
        "gpu_samples",
        SAMPLES
        + """
        10:05 | GPU-a | 2        | 3g.40gb  | H100      | h-1   | 1000000
        10:05 | GPU-a | 10       | 1g.10gb  | H100      | h-1   | 1000000
        10:05 | GPU-a |          |          | H100      | h-1   | 1000000
    """,
    )
    assert_allocated("cost_type | reason | cost\n unallocated | no_requests | 7")
    assert rows_of("unit_windows", ["unit_kind", "instance", "busy"]) == [
        {"unit_kind": "mig", "instance": "10", "busy": "1000000", "cost": "1"},
        {"unit_kind": "mig", "instance": "2", "busy": "1000000", "cost": "3"},
        {"unit_kind": "remainder", "instance": "", "busy": "0", "cost": "3"},
    ]


def test_whole_gpu_samples_of_a_gpu_with_instances_are_ignored_and_place_it_nowhere():
    given("hosts", "host | resource_id\n h-1 | i-1\n h-2 | i-2")
    given("charges", "resource_id | period | effective_cost\n i-2 | 10:00-11:00 | 4")
    given(
        "gpu_samples",
        SAMPLES
        + """
        10:05 | GPU-a | 2        | 7g.80gb  | H100      | h-1   | 250000
        10:05 | GPU-a |          |          | H100      | h-2   | 250000
    """,
    )
    given("requests", SCORING_FOR_SEARCH.replace("i-1", "i-2"))
    assert_allocated("cost_type | model | cost\n usage | scoring | 4")


def test_an_idle_machine_weighs_its_week_by_what_all_of_it_has():
    """One day of the week has gpu_ms and the other has not: both are weighed by how alone they decoded."""
    one_machine("4")
    given(
        "requests",
        """
        time             | model | resource_id | gpu_micro_ms | ttft_micro_ms | latency_micro_ms | input_tokens | output_tokens
        2026-01-03 10:00 | chat  | i-1         | 9000000      | 1000000       | 2000000          | 0            | 1
        2026-01-04 10:00 | embed | i-1         |              | 1000000       | 2000000          | 0            | 1
        2026-01-04 10:00 | score | i-1         |              | 1000000       | 2000000          | 0            | 1
    """,
    )
    # Alone 185.00075, in company of another 92.50075 each.
    assert_allocated(
        """
        model | cost_type | cost
        chat  | idle      | 1.99999594597
        embed | idle      | 1.000002027015
        score | idle      | 1.000002027015
        """
    )


@pytest.mark.parametrize("measured", ["9000000 | | ", " | 1000000 | 9000000"], ids=["gpu_ms", "batch-aware"])
def test_what_the_roll_up_of_a_day_left_out_is_weighed_where_a_later_day_needs_it(measured):
    """All of the first day has what is better than tokens, and needs none by itself."""
    one_machine("4")
    given(
        "requests",
        f"""
        time             | model | resource_id | input_tokens | output_tokens | gpu_micro_ms | ttft_micro_ms | latency_micro_ms
        2026-01-03 10:00 | chat  | i-1         | 10           | 0             | {measured}
        2026-01-04 10:00 | embed | i-1         | 10           | 0             | | |
        2026-01-04 10:00 | score | i-1         | 20           | 0             | | |
    """,
    )
    assert_allocated(
        """
        model | cost_type | cost
        chat  | idle      | 1
        embed | idle      | 1
        score | idle      | 2
        """
    )


def test_a_metered_api_is_not_weighed_by_the_gpu_time_that_its_requests_say():
    policy("""
        [[rules]]
        name = "bought"
        when = { ServiceName = "Models" }
        then = { api = "OpenModels" }
    """)
    given("charges", "service_name | period | effective_cost\n Models | 10:00-11:00 | 4")
    given(
        "requests",
        """
        time  | model | provider   | gpu_micro_ms | input_tokens | output_tokens
        10:00 | chat  | OpenModels | 9000000      | 10           | 0
        10:00 | embed | OpenModels | 1000000      | 30           | 0
    """,
    )
    assert_allocated("model | cost_type | cost\n chat | usage | 1\n embed | usage | 3")


def test_two_keys_with_one_number_stop_the_day_instead_of_being_taken_for_one():
    one_machine("4")
    given("requests", SCORING_FOR_SEARCH)
    with closing(warehouse.connect()) as con:
        warehouse.open_view(con, "key_names")
        number, day = con.execute("select key_hash, day::varchar from key_names").fetchall()[0]
    fill("key_names", f"source | day | key_hash | model\n other | {day} | {number} | chat")
    with pytest.raises(SameHash, match=f"{day}: two different rows of key_names have the same key_hash"):
        attributed()
