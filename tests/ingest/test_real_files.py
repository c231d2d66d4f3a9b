"""The real files beside the project, in every form a provider may hand them over."""

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
import zstandard

from finops.core import warehouse
from ingest.deliveries import deliver
from ingest.models import Problem
from ingest.sources.files import Unreadable
from tests.ingest.arrivals import rows, shared

pytestmark = pytest.mark.django_db
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")


def repacked(path: Path, form: str, folder: Path) -> Path:
    """The same rows in another form."""
    if form == "csv":
        return path
    target = folder / f"bill.{form}"
    if form == "csv.gz":
        target.write_bytes(gzip.compress(path.read_bytes()))
    elif form == "csv.zst":
        target.write_bytes(zstandard.compress(path.read_bytes()))
    else:
        source = f"read_csv('{path}', all_varchar = true)"
        texts = ", ".join(f"nullif({column}, 'NULL')::DECIMAL(38,18) as {column}" for column in COSTS)
        warehouse.connect().execute(
            f"copy (select * exclude ({', '.join(COSTS)}), {texts} from {source}) to '{target}' (format parquet)"
        )
    return target


@pytest.mark.parametrize("form", ["csv", "csv.gz", "csv.zst", "parquet"])
def test_the_focus_sample_adds_up_to_its_control_totals(form, tmp_path):
    path = shared("data", "billing", "focus-1.0", "focus_sample_part.csv")
    totals = json.loads(shared("data", "billing", "CONTROL_TOTALS.json").read_text())
    outcome = deliver("billing", [repacked(path, form, tmp_path)])
    con = warehouse.connect()
    warehouse.open_view(con, "charges")
    found = con.execute(
        "select provider_name || '|' || charge_category, count(*), sum(billed_cost), sum(effective_cost), "
        "coalesce(sum(list_cost), 0), coalesce(sum(contracted_cost), 0) from charges group by 1"
    ).fetchall()
    expected = totals["focus-1.0/focus_sample_part.csv"]
    assert {name: figures for name, *figures in found} == {
        name: [control["rows"], *(Decimal(control[column]) for column in COSTS)]
        for name, control in expected.items()
    }
    assert sum(Decimal(period.billed_cost) for period in outcome.delivery.periods.all()) == sum(
        Decimal(control["BilledCost"]) for control in expected.values()
    )
    assert not outcome.delivery.problems.exists()


def test_the_three_providers_of_the_focus_sample_never_replace_each_other(tmp_path):
    """In one delivery, and in one of each."""
    path = shared("data", "billing", "focus-1.0", "focus_sample_part.csv")
    header, *lines = path.read_text().splitlines()
    column = next(csv.reader([header])).index("ProviderName")
    providers = [next(csv.reader([line]))[column] for line in lines]
    for provider in sorted(set(providers)):
        part = tmp_path / f"{provider}.csv"
        own = [line for line, name in zip(lines, providers, strict=True) if name == provider]
        part.write_text("\n".join([header, *own]) + "\n")
        deliver("billing", [part])
    columns = "source, billing_account, billing_period, billed_cost, resource_id"
    by_one = rows("charges", columns)
    deliver("billing", [path])
    assert rows("charges", columns) == by_one
    assert (len(by_one), len(set(providers))) == (570, 3)


def test_every_example_of_the_focus_specification_loads():
    """They have blank lines, NULL as null, and a charge that ends at 2023-02-01T30:00:00Z."""
    folder = shared("data", "billing", "focus-spec-examples")
    for number, path in enumerate(sorted(folder.rglob("*.csv"))):
        outcome = deliver("billing", [path], source=f"example-{number}")
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        assert (outcome.delivery.rows, outcome.delivery.bad_rows) == (len(lines) - 1, 0), path.name
    ends = rows("charges", "distinct charge_period_end::varchar", "1")
    assert ("2023-02-02 06:00:00+00",) in ends


@pytest.mark.parametrize(
    "parts",
    [
        ("aws-cur2",),
        ("aws-cur-legacy-bucket", "koku-local", "20180801-20180901"),
        ("aws-cur-restated", "2023-06-01.csv"),
        ("azure-ea", "EA_ActualCost_Small.csv"),
        ("azure-ea", "EA_AmortizedCost_Small.csv"),
        ("azure-koku",),
        ("azure-opencost", "headersets"),
        ("azure-opencost", "values"),
        ("gcp-export",),
    ],
    ids="/".join,
)
def test_a_bill_in_another_format_says_which_columns_are_missing(parts):
    with pytest.raises(Unreadable, match=r"line 1: .*EffectiveCost.* missing; found the columns \w"):
        deliver("billing", [shared("data", "billing", *parts)])
    assert warehouse.latest() == 0


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            ("azure-llm-2023", "AzureLLMInferenceTrace_conv.csv.gz"),
            "line 1: request_id and model are missing",
        ),
        (
            ("alibaba-gentd26", "lora_request_trace.csv.gz"),
            "line 1: request_id and timestamp and model are missing",
        ),
        (("langfuse-traces", "agno-2025-06-11.json"), "no row can be used|this is a JSON list"),
        (("aibrix-vllm", "benchmark_output_20250519.zip"), "zip archive"),
        (("servegen", "reason_deepseek-r1_trace.tar.gz"), "this is no text"),
    ],
    ids=lambda one: "/".join(one) if isinstance(one, tuple) else "",
)
def test_a_log_in_another_format_says_what_is_missing(parts, said):
    with pytest.raises(Exception, match=said):
        deliver("requests", [shared("data", "inference", *parts)])
    assert warehouse.latest() == 0


@pytest.mark.parametrize(
    "parts",
    [
        ("alibaba-gentd26", "pod_gpu_duty_cycle_anon.csv.gz"),
        ("alibaba-gpu2023", "openb_node_list_gpu_node.csv.gz"),
    ],
    ids="/".join,
)
def test_metrics_in_another_format_say_which_columns_are_expected(parts):
    with pytest.raises(Unreadable, match="line 1: expected the columns timestamp, metric, value and UUID"):
        deliver("gpu", [shared("data", "gpu_metrics", *parts)])
    assert warehouse.latest() == 0


@pytest.mark.parametrize("name", ["readme_sample_k8s.prom", "readme_sample_plain.prom"])
def test_the_scrapes_of_the_exporter_are_read(name):
    """They hold clocks, temperatures and a sentinel, and no sample of how busy a GPU was."""
    outcome = deliver("gpu", [shared("data", "gpu_metrics", "dcgm-exporter", name)])
    assert (outcome.delivery.rows, outcome.delivery.bad_rows) == (0, 0)


def test_the_scenarios_of_conformance_load_whole():
    for folder in sorted(path for path in shared("conformance").iterdir() if path.is_dir()):
        for kind, name in (("billing", "billing.csv"), ("gpu", "gpu.json"), ("requests", "requests.jsonl")):
            outcome = deliver(kind, [folder / name], source=f"{folder.name}")
            assert outcome.delivery.bad_rows == 0, outcome.delivery.problems.first()
    assert not Problem.objects.exists()
