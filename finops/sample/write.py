"""Writes the sample organisation's files, and says in which order to ingest them."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from finops.sample import tables
from finops.sample.bills import aws_month, azure_month, openai_month, total, write_bill
from finops.sample.demand import Demand
from finops.sample.metrics import day_of_series, query_range, samples_table
from finops.sample.organisation import (
    IDLING_FOR,
    LAUNCHED,
    MODELS,
    NODES,
    PROMPT_CHANGED,
    STORM_TENANT,
    STORMED,
)
from finops.sample.stories import Plan, Story
from finops.sample.traffic import STORM_FACTOR, Tokens, day_of_requests

Progress = Callable[[int, int, str], None]  # steps done, of how many, what is being written


@dataclass(frozen=True)
class Delivery:
    """Files for one public command: `ingest KIND FILE… --source SOURCE`, or `policy apply FILE`."""

    kind: str  # hosts, owners, rates, policy, billing, gpu, requests
    source: str  # empty: the command takes none
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Sample:
    """What was written. `restated` comes after `month_to_close` has been closed."""

    folder: Path
    start: date
    end: date  # excluded
    deliveries: tuple[Delivery, ...]  # in the order of their ingestion
    month_to_close: str
    restated: tuple[Delivery, ...]
    restated_by: Decimal  # what it changes in the month's effective cost, in USD
    stories: tuple[Story, ...]  # for tests; in no file


def write(
    folder: Path, end: date, seed: int = 1, progress: Progress | None = None, *, requests: int = 2_000_000
) -> Sample:
    """Write the organisation from the first of the month before last until the day before `end`.

    The same end, seed and number of requests give the same bytes.
    """
    plan = Plan.until(end)
    demand, tokens = Demand(plan, seed, requests), Tokens()
    months = sorted({day.replace(day=1) for day in plan.days})
    steps, done = 2 * len(plan.days) + len(months) + 1, 0

    def step(what: str) -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, steps, what)

    for name in ("bills/restated", "gpu", "requests"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    kept = {name: folder / name for name in ("hosts.csv", "owners.csv", "rates.csv", "policy.toml")}
    kept["hosts.csv"].write_text(_csv(tables.hosts(plan)))
    kept["owners.csv"].write_text(_csv(tables.owners(plan)))
    kept["rates.csv"].write_text(_csv(tables.rates(plan, seed)))
    kept["policy.toml"].write_text(tables.policy())
    step("tables")

    logs, metrics = list[Path](), list[Path]()
    for index, day in enumerate(plan.days):
        logs.append(folder / "requests" / f"{day}.parquet")
        _parquet(day_of_requests(demand, index, tokens), logs[-1])
        step(f"requests of {day}")
        series, last = day_of_series(demand, index), index == len(plan.days) - 1
        metrics.append(folder / "gpu" / f"{day}.{'json' if last else 'parquet'}")
        if last:
            metrics[-1].write_text(query_range(series, plan, index))
        else:
            _parquet(samples_table(series, plan, index), metrics[-1])
        step(f"GPU metrics of {day}")

    bills: dict[str, list[Path]] = {"aws": [], "azure": [], "openai": []}
    # Under the name of the first delivery, as providers send it again.
    restated, restated_by = folder / "bills" / "restated" / f"aws-{plan.start:%Y-%m}.csv.gz", Decimal(0)
    for first in months:
        month = {
            "aws": aws_month(plan, first, seed),
            "azure": azure_month(plan, first, seed),
            "openai": openai_month(plan, first, tokens),
        }
        for source, rows in month.items():
            if rows:
                suffix = "csv" if source == "openai" else "csv.gz"
                bills[source].append(folder / "bills" / f"{source}-{first:%Y-%m}.{suffix}")
                write_bill(bills[source][-1], rows)
        if first == plan.start:
            later = aws_month(plan, first, seed, restated=True)
            write_bill(restated, later)
            restated_by = total(later) - total(month["aws"])
        step(f"bills of {first:%Y-%m}")

    deliveries = (
        *(Delivery(name.split(".")[0], "", (path,)) for name, path in kept.items()),
        *(Delivery("billing", source, tuple(files)) for source, files in bills.items()),
        Delivery("gpu", "dcgm", tuple(metrics)),
        Delivery("requests", "gateway", tuple(logs)),
    )
    sample = Sample(
        folder,
        plan.start,
        plan.end,
        deliveries,
        f"{plan.start:%Y-%m}",
        (Delivery("billing", "aws", (restated,)),),
        restated_by,
        stories(plan),
    )
    (folder / "deliveries.json").write_text(_manifest(sample))
    return sample


def stories(plan: Plan) -> tuple[Story, ...]:
    """What was planted: the truth that detection is held against."""
    idle = next(node for node in NODES if node.story == "idle")
    answers = "mistral-small-24b"
    features = {"feature": PROMPT_CHANGED, "model": "gpt-4.1"}
    return (
        Story(
            "spot replaced by on-demand",
            plan.spot_replaced,
            plan.end,
            {"model": answers},
            "price",
            3.0,
            {"team": MODELS[answers].team, "resource": "vm-answers-*"},
        ),
        Story(
            "retry storm",
            plan.storm,
            plan.storm_over,
            {"tenant": STORM_TENANT, "model": "gpt-4o"},
            "requests",
            STORM_FACTOR,
            {"feature": STORMED, "team": "trust"},
        ),
        Story(
            "node left running",
            plan.left_running,
            plan.end,
            {"model": IDLING_FOR, "cost_type": "idle"},
            "idle",
            1.8,
            {"team": MODELS[IDLING_FOR].team, "resource": idle.resource_id},
        ),
        Story(
            "launch",
            plan.launch,
            plan.end,
            {"model": LAUNCHED},
            "launch",
            0.0,
            {"team": MODELS[LAUNCHED].team, "feature": "code-migration"},
        ),
        Story("prompt change", plan.prompt_change, plan.end, features, "tokens", 2.0, {"team": "media"}),
    )


def _parquet(table: pa.Table, path: Path) -> None:
    """Plain text columns, as other writers make them."""
    pq.write_table(table, path, compression="zstd", store_schema=False)


def _csv(rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _manifest(sample: Sample) -> str:
    """The deliveries in order, paths relative to the folder."""

    def named(deliveries: tuple[Delivery, ...]) -> list[dict[str, object]]:
        return [
            {
                "kind": one.kind,
                "source": one.source,
                "files": [str(f.relative_to(sample.folder)) for f in one.files],
            }
            for one in deliveries
        ]

    return json.dumps(
        {
            "start": str(sample.start),
            "end": str(sample.end),
            "deliveries": named(sample.deliveries),
            "month_to_close": sample.month_to_close,
            "restated": named(sample.restated),
        },
        indent=1,
    )
