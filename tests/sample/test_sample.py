import csv
import gzip
import json
import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops.core import focus
from finops.sample.demand import Demand
from finops.sample.metrics import day_of_series, samples_table
from finops.sample.organisation import FEATURES, MODELS, NODES, PRICES, TENANTS
from finops.sample.stories import Plan, Story
from finops.sample.traffic import Tokens, day_of_requests
from finops.sample.write import Sample, stories, write

END, REQUESTS = date(2026, 3, 4), 20_000
CANONICAL = """
    request_id timestamp model model_version feature tenant team environment region endpoint provider project
    host resource_id namespace pod gpu_uuid input_tokens cached_input_tokens output_tokens gpu_ms latency_ms
    ttft_ms queue_ms batch_size status cached predictions value
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write(tmp_path_factory.mktemp("sample"), END, 7, requests=REQUESTS)


@pytest.fixture(scope="module")
def world(sample: Sample) -> Iterator[duckdb.DuckDBPyConnection]:
    """The Parquet files as tables `requests` and `samples`."""
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        for table, folder in (("requests", "requests"), ("samples", "gpu")):
            con.execute(f"create view {table} as from read_parquet('{sample.folder / folder}/*.parquet')")
        yield con


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def bill(sample: Sample, source: str) -> list[dict[str, str]]:
    files = next(one.files for one in sample.deliveries if one.source == source)
    return [row for path in files for row in rows_of(path)]


def rows_of(path: Path) -> list[dict[str, str]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return list(csv.DictReader(text.splitlines()))


def effective(rows: list[dict[str, str]]) -> Decimal:
    return sum((Decimal(row["EffectiveCost"]) for row in rows), Decimal(0))


def one(con: duckdb.DuckDBPyConnection, question: str) -> Any:
    row = con.execute(question).fetchone()
    assert row
    return row[0] if len(row) == 1 else row


def test_the_same_end_and_seed_give_the_same_bytes_and_another_seed_does_not(sample, tmp_path):
    write(tmp_path, END, 7, requests=REQUESTS)
    assert contents(tmp_path) == contents(sample.folder)
    plan = Plan.until(END)
    mine, other = Demand(plan, 7, REQUESTS), Demand(plan, 8, REQUESTS)
    assert day_of_requests(mine, 3, Tokens()) != day_of_requests(other, 3, Tokens())
    tables = [samples_table(day_of_series(demand, 3), plan, 3) for demand in (mine, other)]
    assert tables[0] != tables[1]


@pytest.mark.parametrize(
    ("end", "start"),
    [
        (date(2026, 11, 21), date(2026, 9, 1)),
        (date(2027, 3, 1), date(2027, 1, 1)),
        (date(2028, 3, 1), date(2028, 1, 1)),
        (date(2028, 2, 29), date(2027, 12, 1)),
        (date(2027, 1, 2), date(2026, 11, 1)),
        (date(2026, 12, 31), date(2026, 10, 1)),
    ],
)
def test_it_begins_on_the_first_of_the_month_before_last_and_its_stories_have_days_of_their_own(end, start):
    plan = Plan.until(end)
    told = stories(plan)
    assert plan.start == start
    assert min(story.onset for story in told) >= start + timedelta(days=28)
    assert max(story.onset for story in told) < end - timedelta(days=2)
    assert len({story.onset for story in told}) == len(told) == 5
    assert abs(int(Demand(plan, 3, 2_000_000).counts.sum()) - 2_000_000) < 100


def test_progress_counts_every_step(tmp_path):
    told: list[tuple[int, int, str]] = []
    write(tmp_path, date(2027, 3, 2), 1, lambda *step: told.append(step), requests=500)
    assert [done for done, _, _ in told] == list(range(1, told[0][1] + 1))
    assert told[1][2] == "requests of 2027-01-01"


def test_the_manifest_names_every_file_in_the_order_of_ingestion(sample):
    manifest = json.loads((sample.folder / "deliveries.json").read_text())
    kinds = [delivery["kind"] for delivery in manifest["deliveries"]]
    assert kinds == ["hosts", "owners", "rates", "policy", "billing", "billing", "billing", "gpu", "requests"]
    named = [
        file for key in ("deliveries", "restated") for delivery in manifest[key] for file in delivery["files"]
    ]
    assert sorted([*named, "deliveries.json"]) == sorted(contents(sample.folder))
    assert manifest["month_to_close"] == "2026-01"


def test_requests_are_canonical_and_each_day_has_a_file(sample, world):
    columns = [row[0] for row in world.execute("describe requests").fetchall()]
    assert set(columns) <= set(CANONICAL.split())
    count, distinct, days = one(
        world, "select count(*), count(distinct request_id), count(distinct timestamp::date) from requests"
    )
    assert REQUESTS <= distinct <= count <= REQUESTS * 1.05
    assert days == (sample.end - sample.start).days == len(list((sample.folder / "requests").iterdir()))
    assert one(world, "select count(*) from requests where cached_input_tokens > input_tokens") == 0
    assert one(world, "select count(*) from requests where model is null") == 2
    assert one(world, "select count(distinct tenant) from requests") == len(TENANTS) + 1
    assert one(world, "select count(distinct model) from requests") == len(MODELS) == 13


def test_every_answer_of_a_language_model_has_the_batch_aware_measure(world):
    models = [feature.model for feature in FEATURES if feature.kind in {"llm", "api"}]
    lacking = """
        select count(*) from requests
        where model in (select unnest($models)) and status in ('ok', '200') and not coalesce(cached, false)
            and (ttft_ms is null or latency_ms < ttft_ms or input_tokens is null or output_tokens is null)
    """
    assert world.execute(lacking, {"models": models}).fetchall() == [(0,)]
    unmeasured = "feature = 'semantic-search' and status = 'ok' and not cached and gpu_ms is null"
    assert one(world, f"select count(*) from requests where {unmeasured}") == 0


def test_a_third_to_a_half_is_answered_from_the_caches_and_one_in_a_hundred_fails(world):
    cached = dict(world.execute("select model, avg(cached::int) from requests group by 1").fetchall())
    assert {model for model, share in cached.items() if share and 0.3 < share < 0.6} == {
        "bge-m3",
        "mistral-small-24b",
    }
    calm = "feature <> 'policy-review'"
    assert (
        0.005
        < one(world, f"select avg((status not in ('ok', '200'))::int) from requests where {calm}")
        < 0.02
    )


def test_gpus_are_as_busy_as_their_models_are_tuned(world):
    busy = dict(
        world.execute(
            """
            select coalesce(node, Hostname), avg(if(metric like '%UTIL', value / 100, value))
            from samples where GPU_I_ID is distinct from '9' group by 1
            """
        ).fetchall()
    )
    for model in MODELS.values():
        for replica in model.replicas:
            if model.busy and model.name != "layout-ocr":
                assert busy[replica.host] == pytest.approx(0.75 if model.busy > 0.5 else 0.25, abs=0.06)
    assert len(busy) == sum(1 for node in NODES if node.gpus)
    assert 36 <= one(world, "select count(distinct UUID) from samples") <= 44
    assert one(world, "select max(value) from samples where GPU_I_ID is not null") <= 1


def test_the_last_day_of_metrics_is_what_prometheus_answers(sample):
    answer = json.loads((sample.folder / "gpu" / f"{sample.end - timedelta(days=1)}.json").read_text())
    series = answer["data"]["result"]
    assert answer["data"]["resultType"] == "matrix"
    assert {"DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL"} == {
        one["metric"]["__name__"] for one in series
    }
    assert all(
        isinstance(moment, int) and isinstance(value, str)
        for one in series
        for moment, value in one["values"]
    )
    assert series[0]["values"][-1][1] == "NaN"


def test_the_pods_that_requests_name_have_samples(world):
    unknown = """
        select distinct model from requests
        where pod is not null and (namespace, pod, timestamp::date) not in (
            select (coalesce(exported_namespace, namespace), coalesce(exported_pod, pod), timestamp::date)
            from samples where pod is not null
        ) and timestamp < (select max(timestamp) from samples)
    """
    assert world.execute(unknown).fetchall() == []
    assert one(world, "select count(*) from requests where gpu_uuid not in (select UUID from samples)") == 0


def test_bills_are_focus_and_end_with_yesterday_but_azure_lags_a_day(sample):
    yesterday = sample.end - timedelta(days=1)
    for source, until in (("aws", sample.end), ("openai", sample.end), ("azure", yesterday)):
        rows = bill(sample, source)
        assert set(rows[0]) <= set(focus.COLUMNS)
        assert min(row["ChargePeriodStart"] for row in rows) == f"{sample.start}T00:00:00Z"
        assert max(row["ChargePeriodEnd"] for row in rows) == f"{until}T00:00:00Z"
        for row in rows:
            assert (
                row["BillingPeriodStart"]
                <= row["ChargePeriodStart"]
                < row["ChargePeriodEnd"]
                <= row["BillingPeriodEnd"]
            )


def test_a_commitment_costs_what_it_covered_and_what_it_did_not(sample):
    rows = [row for row in bill(sample, "aws") if row["CommitmentDiscountId"]]
    fees = sum(Decimal(row["BilledCost"]) for row in rows if row["ChargeCategory"] == "Purchase")
    by_status = {
        status: effective([row for row in rows if row["CommitmentDiscountStatus"] == status])
        for status in ("Used", "Unused", "")
    }
    assert by_status["Used"] + by_status["Unused"] == fees > 0
    assert by_status["Unused"] > 0
    assert by_status[""] == 0


def test_the_metered_api_costs_its_tokens_at_list_price(sample, world):
    """Rows that came twice are counted once."""
    asked = world.execute("""
        select model, sum(input_tokens - cached_input_tokens), sum(cached_input_tokens), sum(output_tokens)
        from (select distinct * from requests where provider = 'openai') group by model
    """).fetchall()
    expected = sum(
        count * price for model, *counts in asked for count, price in zip(counts, PRICES[model], strict=True)
    )
    billed = effective([row for row in bill(sample, "openai") if "model" in row["Tags"]])
    assert billed == pytest.approx(expected / 1_000_000, rel=Decimal("0.001"))


def test_every_day_of_the_euro_bill_has_a_rate_of_the_last_week(sample):
    rated = {date.fromisoformat(row["date"]) for row in rows_of(sample.folder / "rates.csv")}
    day = sample.start
    while day < sample.end:
        assert any(day - timedelta(days=age) in rated for age in range(7))
        day += timedelta(days=1)


def test_the_restated_bill_differs_by_corrections_alone(sample):
    first = [
        row for row in bill(sample, "aws") if row["BillingPeriodStart"].startswith(sample.month_to_close)
    ]
    again = rows_of(sample.restated[0].files[0])
    assert again[: len(first)] == first
    assert {row["ChargeClass"] for row in again[len(first) :]} == {"Correction"}
    assert effective(again) - effective(first) == sample.restated_by < 0


def test_every_pool_of_the_policy_is_filled_by_a_rule(sample):
    policy = tomllib.loads((sample.folder / "policy.toml").read_text())
    filled = {rule["then"]["pool"] for rule in policy["rules"] if "pool" in rule["then"]}
    assert filled == {pool["name"] for pool in policy["pools"]}
    assert {pool["driver"] for pool in policy["pools"]} == {
        "direct_cost", "usage_cost", "requests", "tokens", "gpu_seconds", "even", "fixed",
    }  # fmt: skip
    assert set(policy["prices"]) == {f"openai/{model}" for model in PRICES}


def test_owners_change_hands_once_and_one_model_has_none(sample):
    owners = rows_of(sample.folder / "owners.csv")
    models = {row["name"] for row in owners if row["kind"] == "model"}
    assert set(MODELS) - models == {"layout-ocr"}
    ranking = [row for row in owners if row["name"] == "passage-ranking"]
    assert [row["team"] for row in ranking] == ["search", "assistants"]
    assert ranking[0]["valid_to"] == ranking[1]["valid_from"] == "2026-01-15"


def told(sample: Sample, name: str) -> Story:
    return next(story for story in sample.stories if story.name == name)


def test_the_nodes_that_were_spot_cost_three_times_as_much_on_demand(sample):
    onset = f"{told(sample, 'spot replaced by on-demand').onset}"
    nodes = [row for row in bill(sample, "azure") if "H100" in row["SkuId"]]
    before = {Decimal(row["EffectiveCost"]) for row in nodes if row["ChargePeriodStart"] < onset}
    after = {Decimal(row["EffectiveCost"]) for row in nodes if row["ChargePeriodStart"] >= onset}
    assert after == {3 * cost for cost in before}
    assert len(after) == 1


def test_in_the_retry_storm_one_tenant_asks_many_times_and_gives_up(sample, world):
    storm = told(sample, "retry storm")
    by_day = world.execute(
        """
        select timestamp::date, count(*), avg((status = '504')::int)
        from requests where tenant = $tenant and model = $model group by 1
        """,
        storm.where,
    ).fetchall()
    stormy = [(count, failed) for day, count, failed in by_day if storm.onset <= day < storm.until]
    calm = [(count, failed) for day, count, failed in by_day if not storm.onset <= day < storm.until]
    assert min(count for count, _ in stormy) > 2 * max(count for count, _ in calm)
    assert min(failed for _, failed in stormy) > 0.4
    assert max(failed for _, failed in calm) == 0


def test_the_node_left_running_is_paid_and_never_used(sample, world):
    story = told(sample, "node left running")
    hours = [row for row in bill(sample, "aws") if row["ResourceId"] == story.elsewhere["resource"]]
    assert min(row["ChargePeriodStart"] for row in hours) == f"{story.onset}T00:00:00Z"
    assert len(hours) == 24 * (sample.end - story.onset).days
    host = f"'{hours[0]['ResourceName']}'"
    assert one(world, f"select (count(*) > 0, max(value)) from samples where Hostname = {host}") == (True, 0)
    assert one(world, f"select count(*) from requests where host = {host}") == 0


def test_the_launched_model_starts_from_zero(sample, world):
    launch = told(sample, "launch")
    first = "select min(timestamp)::date from requests where model = $model"
    assert world.execute(first, launch.where).fetchall() == [(launch.onset,)]


def test_the_prompt_change_doubles_the_tokens_of_its_feature_and_not_its_requests(sample, world):
    onset = told(sample, "prompt change").onset
    tokens = """
        select avg(input_tokens + output_tokens) from requests where feature = 'catalogue-copy' and timestamp
    """
    assert one(world, f"{tokens} >= '{onset}'") / one(world, f"{tokens} < '{onset}'") == pytest.approx(
        2, abs=0.15
    )


def test_nothing_else_happens(sample):
    """Each feature's day is that of its weekday before, within a few per cent; shared services are steady."""
    plan = Plan.until(END)
    demand = Demand(plan, 7, 2_000_000)
    for row, feature in enumerate(FEATURES):
        if feature.name != "code-migration":
            weekly = demand.counts[row, 7:] / demand.counts[row, :-7]
            assert 0.92 < weekly.min() < weekly.max() < 1.08
    for source in ("aws", "azure"):
        network = [row for row in bill(sample, source) if row["ChargeDescription"] == "Data transfer out"]
        costs = [Decimal(row["EffectiveCost"]) for row in network]
        assert max(costs) / min(costs) < Decimal("1.2")
