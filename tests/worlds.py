"""Small, nasty worlds for the rules of money: bills, metrics, logs and policies that hardly meet.

worlds()                                        a hypothesis strategy of `World`
random_world(random.Random(7), folder)          the same by seed, written to a folder
smallest(world, fails)                          what is left of a world when all that may go has gone
"""

import csv
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

START, END = date(2026, 9, 6), date(2026, 9, 10)
FIRST = datetime(2026, 9, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# Few hours and few names, so that charges, samples and requests meet, and sometimes just miss.
HOURS = [
    DAY + 9 * HOUR,
    DAY + 10 * HOUR,
    DAY + 23 * HOUR,
    2 * DAY,
    2 * DAY + 9 * HOUR,
    23 * HOUR,
    -HOUR,
    3 * DAY + 5 * HOUR,
]
BEFORE = [-5 * DAY + 9 * HOUR, -6 * DAY, -7 * DAY + 23 * HOUR, -8 * DAY + 9 * HOUR]
RESOURCES = ["i-1", "i-2", "i-3", "i-4"]
HOSTS = ["h-1", "h-2", "h-3", "i-3"]
GPUS = ["GPU-0", "GPU-1", "GPU-a"]
MODELS = ["chat", "embed", "gpt-x", "ghost"]
TEAMS = ["nlp", "search", "vision"]

ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
UTIL = "DCGM_FI_DEV_GPU_UTIL"
METRICS = [[ACTIVE], [UTIL], [ACTIVE, UTIL], [UTIL, "DCGM_FI_DEV_POWER_USAGE"]]
PROFILES: list[tuple[str, dict[str, str]]] = [
    ("NVIDIA H100 80GB HBM3", {}),
    ("NVIDIA L4", {}),
    ("NVIDIA A30", {}),
    ("Tesla T4", {}),
    ("NVIDIA H100 80GB HBM3", {"7": "1g.10gb", "2": "3g.40gb"}),
    ("NVIDIA H100 80GB HBM3", {"9": "1g.10gb+me", "13": "1g.10gb", "3": "2g.20gb"}),
    ("NVIDIA H100 80GB HBM3", {"1": "4g.40gb", "2": "3g.40gb"}),
    ("NVIDIA A100-SXM4-80GB", {"1": "4g.40gb", "2": "4g.40gb", "3": "2g.20gb"}),
    ("NVIDIA A30", {"1": "2g.12gb", "3": "1g.6gb"}),
    ("NVIDIA A30", {"1": "4g.24gb", "3": "2g.12gb"}),
]
COSTS = [
    "1", "12.34", "7.607219", "0", "3.333333333333", "0.0000000000005", "-0.0000000000005", "-4.20",
    "0.12345678901249", "2.323760000E-9", "-1.5", "0.000000000007", "1000000000.000000000001", "-1000000000",
    "99.9999999999995",
]  # fmt: skip
RULES: list[dict[str, Any]] = [
    {"when": {"ChargeCategory": "Tax"}, "then": {"pool": 0}},
    {"when": {"ChargeCategory": "Credit", "ResourceId": ""}, "then": {"pool": 1}},
    {"when": {"ServiceName": ["AWS Support", "AWS Premium*"]}, "then": {"pool": 2}},
    {"when": {"ServiceName": "AmazonS3", "Tags.app": "infer*"}, "then": {"pool": 0}},
    {"when": {"ProviderName": "OpenModels"}, "then": {"api": "OpenModels"}},
    {"when": {"Tags.shared": "true"}, "then": {"pool": 1}},
    {"when": {"Tags.model": "", "ResourceId": "bucket"}, "then": {"model": "embed"}},
    {"when": {"Tags.model": "gh*t"}, "then": {"model": "ghost"}},
    {"when": {"ResourceId": "i-4"}, "then": {"direct": True}},
    {"when": {"ServiceName": "Amazon*", "Tags.app": ["web", "*front*"]}, "then": {"exclude": True}},
    {"when": {"Tags.n": ["3", "0.5"]}, "then": {"model": "nobody"}},
    {"when": {"ServiceCategory": "storage"}, "then": {"exclude": True}},
    {"when": {"CommitmentDiscountStatus": "Unused"}, "then": {"pool": 2}},
    {"when": {"PublisherName": ["", "Nobody"], "ServiceCategory": "AI*"}, "then": {"api": "OpenModels"}},
]
TAGS = [
    "{}", '{"model": "chat"}', "", '{"model": "ghost"}', '{"model": "gpt-x"}', '{"app": "inference"}',
    '{"app": "web-frontend", "model": "chat"}', '{"model": ""}', '{"model": null, "shared": true}',
    '{"shared": false, "n": 3}', '{"n": 0.5, "Model": "chat"}',
    '{"app": "", "model": "embed", "env": "prod"}',
]  # fmt: skip
SERVICES = [
    ("AWS", "AmazonEC2", "Compute", "Usage"),
    ("AWS", "AmazonEC2", "Compute", "Credit"),
    ("AWS", "AmazonEC2", "Compute", "Tax"),
    ("AWS", "AmazonS3", "Storage", "Usage"),
    ("AWS", "AWS Support", "Other", "Usage"),
    ("AWS", "AWS Premium Support", "Other", "Usage"),
    ("AWS", "AmazonCloudFront", "Networking", "Usage"),
    ("OpenModels", "Inference API", "AI and Machine Learning", "Usage"),
    ("OpenModels", "Inference API", "AI and Machine Learning", "Usage"),
]
BILL_COLUMNS = [
    "BillingAccountId", "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart",
    "ChargePeriodEnd", "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "CommitmentDiscountStatus", "InvoiceIssuerName",
    "ProviderName", "PublisherName", "ResourceId", "ServiceCategory", "ServiceName", "SubAccountId", "Tags",
]  # fmt: skip
HOST_COLUMNS = ["host", "resource_id", "valid_from", "valid_to"]
OWNER_COLUMNS = ["kind", "name", "team", "cost_center", "owner_email", "valid_from", "valid_to"]


class Number(str):
    """A number of the policy as it is written."""


@dataclass(frozen=True)
class World:
    """The files, before they are text; every list may lose any of its items and the world is still one."""

    hosts: list[dict[str, str]] = field(default_factory=list)
    owners: list[dict[str, str]] = field(default_factory=list)
    rates: list[dict[str, str]] = field(default_factory=list)
    charges: list[dict[str, str]] = field(default_factory=list)
    series: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    pools: list[dict[str, Any]] = field(default_factory=list)
    settings: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # the policy's other tables

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        table(folder / "hosts.csv", HOST_COLUMNS, self.hosts)
        table(folder / "owners.csv", OWNER_COLUMNS, self.owners)
        allocated = ["AllocatedResourceId"] if any("AllocatedResourceId" in c for c in self.charges) else []
        table(folder / "billing.csv", [*BILL_COLUMNS, *allocated], self.charges)
        if self.rates:
            table(folder / "rates.csv", ["date", "currency", "rate"], self.rates)
        metrics = {"status": "success", "data": {"resultType": "matrix", "result": self.series}}
        (folder / "gpu.json").write_text(json.dumps(metrics), encoding="utf-8")
        lines = [json.dumps(request) + "\n" for request in self.requests]
        (folder / "requests.jsonl").write_text("".join(lines), encoding="utf-8")
        (folder / "policy.toml").write_text(self.policy(), encoding="utf-8")
        return folder

    def policy(self) -> str:
        tables = [(f"[{name}]", entries) for name, entries in self.settings]
        tables += [("[[rules]]", rule) for rule in self.rules]
        tables += [("[[pools]]", pool) for pool in self.pools]
        return "\n".join(
            line
            for head, entries in tables
            for line in (head, *(f"{name} = {toml(value)}" for name, value in entries.items()), "")
        )


def table(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, columns, restval="")
        out.writeheader()
        out.writerows(rows)


def toml(value: Any) -> str:
    if isinstance(value, Number | int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return json.dumps(value)


def worlds() -> st.SearchStrategy[World]:
    return st.builds(draw_world, st.randoms(use_true_random=False))


def random_world(rng: random.Random, folder: Path) -> Path:
    return draw_world(rng).write(folder)


def draw_world(rng: random.Random) -> World:
    pools = draw_pools(rng)
    names = [pool["name"] for pool in pools]
    hours = rng.sample(HOURS, 3)
    return World(
        hosts=draw_hosts(rng),
        owners=draw_owners(rng),
        rates=draw_rates(rng),
        charges=[draw_charge(rng, hours) for _ in range(rng.randint(1, 24))],
        series=draw_series(rng, hours),
        requests=draw_requests(rng, hours),
        rules=draw_rules(rng, names),
        pools=pools,
        settings=draw_settings(rng),
    )


def maybe(rng: random.Random, chance: float) -> bool:
    return rng.random() >= 1 - chance


def stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def draw_hosts(rng: random.Random) -> list[dict[str, str]]:
    """Several hosts to a resource; a host that changes hands, at midnight or at noon, perhaps with a gap."""
    rows: list[dict[str, str]] = []
    for host, resource in [("h-1", "i-1"), ("h-2", rng.choice(["i-2", "i-1"])), ("h-3", "i-2")]:
        kind = rng.randint(0, 5)
        if kind <= 2:
            rows.append({"host": host, "resource_id": resource})
        elif kind <= 4:
            until = FIRST + rng.choice([DAY, 2 * DAY, DAY + 12 * HOUR])
            since = until + rng.choice([0 * DAY, DAY])
            written = stamp if until.hour else rng.choice([stamp, day_of])
            rows.append({"host": host, "resource_id": resource, "valid_to": written(until)})
            rows.append({"host": host, "resource_id": rng.choice(RESOURCES), "valid_from": stamp(since)})
    return rows


def day_of(time: datetime) -> str:
    return time.strftime("%Y-%m-%d")


def draw_owners(rng: random.Random) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for kind, name in [("model", "chat"), ("model", "embed"), ("feature", "scoring"), ("model", "gpt-x")]:
        change = rng.randint(0, 3)
        if change == 1:
            rows.append({"kind": kind, "name": name, "team": rng.choice(TEAMS)})
        elif change == 2:
            time = FIRST + rng.choice([DAY, DAY + 9 * HOUR, DAY + 9 * HOUR + HOUR / 2, 2 * DAY + 10 * HOUR])
            first, second = rng.sample(TEAMS, 2)
            rows.append({"kind": kind, "name": name, "team": first, "valid_to": stamp(time)})
            rows.append({"kind": kind, "name": name, "team": second, "valid_from": stamp(time)})
        elif change == 3:
            spans = {
                "valid_from": rng.choice(["2026-09-07", "2026-08-01T00:00:00+02:00"]),
                "valid_to": "2026-09-08",
            }
            rows.append({"kind": kind, "name": name, "team": rng.choice(TEAMS), **spans})
    if maybe(rng, 0.3):
        rows.append({"kind": "team", "name": "nlp", "cost_center": "CC-1", "owner_email": "nlp@example.com"})
        rows.append({"kind": "tenant", "name": "acme", "cost_center": "CC-2"})
    return rows


def draw_rates(rng: random.Random) -> list[dict[str, str]]:
    days = [date(2026, 9, 5), date(2026, 9, 8), date(2026, 8, 31), date(2026, 9, 1), date(2026, 8, 30)]
    rates = ["1.1", "0.923456789012", "1.000000000001"]
    rows = [
        {"date": day.isoformat(), "currency": currency, "rate": rng.choice(rates)}
        for currency in ("EUR", "JPY")
        for day in rng.sample(days, rng.randint(0, 4))
    ]
    return rows


def draw_charge(rng: random.Random, hours: list[timedelta]) -> dict[str, str]:
    provider, service, category, charge_category = rng.choice(SERVICES)
    period = draw_period(rng, hours)
    cost = rng.choice(COSTS) if maybe(rng, 0.6) else f"{rng.randint(0, 10**6)}.{rng.randint(0, 10**14):014d}"
    charge = {
        "BillingAccountId": rng.choice(["1001", "1001", "1002"]),
        "BillingCurrency": rng.choice(["USD"] * 9 + ["EUR", "EUR", "JPY"]),
        "BillingPeriodStart": "2026-09-01T00:00:00Z",
        "BillingPeriodEnd": "2026-10-01T00:00:00Z",
        "ChargePeriodStart": stamp(period[0]),
        "ChargePeriodEnd": stamp(period[1]),
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "ContractedCost": cost,
        "ChargeCategory": charge_category,
        "ChargeFrequency": "Usage-Based",
        "CommitmentDiscountStatus": rng.choice(["", "", "", "Used", "Unused"]),
        "InvoiceIssuerName": provider,
        "ProviderName": provider,
        "PublisherName": rng.choice([provider, ""]),
        "ResourceId": rng.choice([*RESOURCES, "i-1", "i-1", "bucket", "", "NULL"])
        if provider == "AWS"
        else "",
        "ServiceCategory": category,
        "ServiceName": service,
        "SubAccountId": rng.choice(["", "proj-1", "proj-2"]),
        "Tags": rng.choice(TAGS),
    }
    if maybe(rng, 0.1):
        charge["BillingPeriodStart"], charge["BillingPeriodEnd"] = (
            "2026-08-01T00:00:00Z",
            "2026-09-01T00:00:00Z",
        )
    if maybe(rng, 0.1):
        charge["AllocatedResourceId"] = rng.choice(RESOURCES)
    return charge


def draw_period(rng: random.Random, hours: list[timedelta]) -> tuple[datetime, datetime]:
    hour = FIRST + rng.choice(hours)
    day = FIRST + rng.choice([1, 2, 0, 3]) * DAY
    return rng.choice(
        [
            (hour, hour + HOUR),
            (day, day + DAY),
            (hour, hour + HOUR),
            (day, day + DAY),
            (hour + timedelta(minutes=30), hour + timedelta(minutes=90)),
            (hour, hour + timedelta(minutes=7)),
            (hour + timedelta(seconds=5), hour + timedelta(seconds=5)),
            (hour, hour + HOUR + timedelta(seconds=1)),
            (day - 7 * HOUR, day + 31 * HOUR),
            (day - timedelta(seconds=1), day + DAY + timedelta(seconds=13)),
            (datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)),
        ]
    )


def draw_series(rng: random.Random, hours: list[timedelta]) -> list[dict[str, Any]]:
    """Metrics by GPU and day: whole, in instances, or both; time-sliced; on one host or on the next."""
    series = []
    for uuid in GPUS[: rng.choice([3, 2, 1, 0])]:
        steady = rng.choice(PROFILES)
        host = rng.choice(HOSTS)
        for times in draw_times(rng, hours):
            model, instances = steady if maybe(rng, 0.8) else rng.choice(PROFILES)
            host = host if maybe(rng, 0.85) else rng.choice(HOSTS)
            places: list[tuple[str, str]] = list(instances.items()) or [("", "")]
            if instances and maybe(rng, 0.3):
                places.append(("", ""))
            for instance, profile in places:
                labels = {"UUID": uuid, "modelName": model} | draw_host_labels(rng, host)
                if instance:
                    labels |= {"GPU_I_ID": instance, "GPU_I_PROFILE": profile}
                for metric in rng.choice(METRICS):
                    for pod in draw_pods(rng):
                        whole: dict[str, str] = {"__name__": metric, **labels, **pod}
                        values = [[time, draw_value(rng, metric)] for time in times if maybe(rng, 0.9)]
                        if values:
                            series.append({"metric": whole, "values": values})
    return series


def draw_times(rng: random.Random, hours: list[timedelta]) -> list[list[Any]]:
    """Unix seconds of samples, a list for each day that has some."""
    days: dict[date, list[Any]] = {}
    more = rng.sample([*HOURS, *BEFORE[:2]], rng.randint(0, 2))
    for hour in sorted({*more, *rng.sample(hours, rng.randint(1, len(hours)))}):
        first = int((FIRST + hour).timestamp())
        offsets: list[float] = rng.choice([[0], [0, 1800], [300, 3599.999], [0.5, 1200, 2400.25]])
        days.setdefault((FIRST + hour).date(), []).extend(first + offset for offset in offsets)
    return list(days.values())


def draw_value(rng: random.Random, metric: str) -> str:
    odd = rng.randint(0, 15)
    if odd == 1:
        return rng.choice(["NaN", "9223372036854775794", "4611686018427387904", "+Inf", "-Inf"])
    if odd == 2:
        return rng.choice(["4611686018427387903", "-1", "0", "0.0000005", "1e-3", "0.00000049"])
    if metric == ACTIVE:
        return f"0.{rng.randint(0, 9999):04d}"
    return str(rng.randint(0, 100))


def draw_host_labels(rng: random.Random, host: str) -> dict[str, str]:
    return rng.choice(
        [
            {"Hostname": host},
            {"hostname": host},
            {"Hostname": "dcgm-exporter-7x", "node": host},
            {"instance": f"{host}:9400"},
            {"instance": "10.0.0.9:9400", "kubernetes_node": host},
            {"Hostname": host, "node": "h-2", "instance": "h-1:9400"},
        ]
    )


def draw_pods(rng: random.Random) -> list[dict[str, str]]:
    exporter = {"pod": "dcgm-exporter-x", "namespace": "monitoring"}
    return rng.choice(
        [
            [{}],
            [{"pod": "p-1", "namespace": "serving"}],
            [{"pod": "p-1", "namespace": "serving"}, {"pod": "p-2", "namespace": "serving"}],
            [{"exported_pod": "p-1", "exported_namespace": "serving", **exporter}],
            [{"pod": "p-2", "namespace": "other"}, {"pod": "", "namespace": "", "container": ""}],
            [{"exported_pod": "p-2", "exported_namespace": "other", **exporter}, {"pod": "p-2"}],
        ]
    )


def draw_requests(rng: random.Random, hours: list[timedelta]) -> list[dict[str, Any]]:
    """A log of one style: most requests have the same measures. Or a crowd that decodes together."""
    crowd = maybe(rng, 0.25)
    style = 2 if crowd else rng.choice([0, 1, 2, 3, 4, 5, 5])
    hours = hours[:1] if crowd or maybe(rng, 0.3) else hours
    names = [draw_names(rng), draw_names(rng)]
    requests: list[dict[str, Any]] = []
    for number in range(rng.randint(0, 40)):
        hour = rng.choice(BEFORE) if maybe(rng, 0.15) else rng.choice(hours if maybe(rng, 0.9) else HOURS)
        request: dict[str, Any] = {
            "request_id": f"r-{number}",
            "timestamp": draw_timestamp(rng, FIRST + hour, crowd),
            "model": rng.choice(MODELS),
            **draw_key(rng),
            **(rng.choice(names) if crowd else draw_names(rng)),
            **draw_measures(rng, style if maybe(rng, 0.95) else rng.randint(0, 5)),
            **draw_outcome(rng, 0.1 if crowd else 0.5),
        }
        if requests and maybe(rng, 0.08):
            request["request_id"] = rng.choice(requests)["request_id"]
        requests.append(request)
    return requests


def draw_key(rng: random.Random) -> dict[str, Any]:
    key: dict[str, Any] = {}
    if maybe(rng, 0.8):
        key["environment"] = rng.choice(["prod", "prod", "staging", None])
    if maybe(rng, 0.5):
        key |= {
            "feature": rng.choice(["chat", "scoring", "", None]),
            "tenant": rng.choice(["acme", "globex"]),
        }
    if maybe(rng, 0.4):
        key["team"] = rng.choice([*TEAMS, "", None])
    if maybe(rng, 0.2):
        key |= {"model_version": "v2", "region": "eu-west-1", "endpoint": rng.choice(["/a", "Ä/ü", "a b"])}
    if maybe(rng, 0.4):
        key |= {"provider": rng.choice(["OpenModels", "OpenModels", "Other"])}
        key |= {"project": rng.choice(["proj-1", "proj-2", ""])}
    return key


def draw_outcome(rng: random.Random, chance: float) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    if maybe(rng, chance):
        outcome["status"] = rng.choice(["ok", "200", 204, 299, None, "error", "error", 500, "cancelled"])
    if maybe(rng, chance / 3):
        outcome["cached"] = rng.choice([True, True, False, None])
    if maybe(rng, 0.1):
        outcome["predictions"] = rng.choice([32, 0, 1])
    return outcome


def draw_timestamp(rng: random.Random, hour: datetime, crowd: bool) -> Any:
    offsets = [0, 250, 500, 1000] if crowd else [0, 250, 60_000, 3_599_999]
    time = hour + timedelta(milliseconds=rng.choice(offsets))
    kind = rng.randint(0, 7)
    if kind == 5:
        return int(time.timestamp() * 1000)
    if kind == 6:
        return time.timestamp() if time.microsecond else int(time.timestamp())
    if kind == 7:
        return (time + 2 * HOUR).replace(tzinfo=None).isoformat() + "+02:00"
    return time.isoformat().replace("+00:00", "Z")


def draw_names(rng: random.Random) -> dict[str, Any]:
    names: dict[str, Any] = {}
    if maybe(rng, 0.4):
        names["gpu_uuid"] = rng.choice(
            ["GPU-0", "GPU-1", ["GPU-0", "GPU-1"], "GPU-lost", ["GPU-a", "GPU-lost"], []]
        )
    if maybe(rng, 0.3):
        names["pod"] = rng.choice(["p-1", "p-2", "p-lost", "dcgm-exporter-x"])
        if maybe(rng, 0.6):
            names["namespace"] = rng.choice(["serving", "other", "monitoring", ""])
    if maybe(rng, 0.45):
        names["host"] = rng.choice([*HOSTS, "h-1"])
    if maybe(rng, 0.45):
        names["resource_id"] = rng.choice([*RESOURCES, "i-1", "i-lost"])
    return names if names or maybe(rng, 0.3) else {"gpu_uuid": GPUS[0]}


def draw_measures(rng: random.Random, style: int) -> dict[str, Any]:
    """0: none; 1: server time; 2: tokens and times; 3: tokens; 4: latency; 5: any mixture."""
    measures: dict[str, Any] = {}
    if style in (2, 3, 5):
        measures["input_tokens"] = rng.choice([100, 2048, 0, 7, 10**9])
        measures["output_tokens"] = rng.choice([50, 1, 0, 333])
        if maybe(rng, 0.5):
            measures["cached_input_tokens"] = measures["input_tokens"] * rng.choice([1, 0, 3]) // 3
    if style in (2, 4, 5):
        measures["latency_ms"] = rng.choice([1000, 1500, 250.5, 0, 120_000, 3_000_000])
    if style in (2, 5):
        measures["ttft_ms"] = rng.choice([100, 0, 250.125, 1500, 2000])
    if style in (1, 5):
        measures["gpu_ms"] = rng.choice([100, 0, 5.781, 33.3333335, 5_000_000_000_000, 0.0000004])
    if style == 5 and measures:
        measures[rng.choice(["gpu_ms", "latency_ms", "ttft_ms", "output_tokens"])] = None
    return measures


SHARES: list[dict[str, Any]] = [
    {"nlp": 60, "search": 40},
    {"nlp": 1, "zero": 0},
    {"b": Number("0.333333"), "a": Number("0.666667"), "Ä": 1},
]
SCOPES: list[dict[str, Any]] = [
    {"environment": "prod"},
    {"team": ["nlp", "search"]},
    {"model": "chat", "environment": ""},
    {"tenant": "*c*"},
]


def draw_pools(rng: random.Random) -> list[dict[str, Any]]:
    pools = []
    for name in ("tax", "credits", "support"):
        pool: dict[str, Any] = {"name": name}
        driver = rng.choice(["", *DRIVERS])
        if driver:
            pool["driver"] = driver
        if driver in ("even", "fixed"):
            pool["over"] = rng.choice(["team", "model", "tenant", "environment"])
        if driver == "fixed":
            pool["shares"] = rng.choice(SHARES)
        elif maybe(rng, 0.3):
            pool["scope"] = rng.choice(SCOPES)
        pools.append(pool)
    return pools


DRIVERS = ["direct_cost", "usage_cost", "requests", "tokens", "gpu_seconds", "even", "fixed"]


def draw_rules(rng: random.Random, pools: list[str]) -> list[dict[str, Any]]:
    rules = []
    for number, rule in enumerate(rng.sample(RULES, rng.randint(0, len(RULES)))):
        then = {name: pools[value] if name == "pool" else value for name, value in rule["then"].items()}
        rules.append({"name": f"rule {number}", "when": rule["when"], "then": then})
    return rules


TOKENS: list[dict[str, Any]] = [
    {"output": 2, "input": Number("0.7")},
    {"output": Number("5.5")},
    {"context": 0},
]
MODEL_TOKENS: list[dict[str, Any]] = [
    {"output": 6},
    {"weight_read": 0, "context": Number("0.25")},
    {"input": 0, "output": 0},
]
PRICES: list[dict[str, Any]] = [
    {"input": Number("2.5"), "output": 10},
    {"input": 3, "cached_input": 0, "output": 15},
    {"input": Number("0.0000001"), "output": 0},
]


def draw_settings(rng: random.Random) -> list[tuple[str, dict[str, Any]]]:
    settings: list[tuple[str, dict[str, Any]]] = []
    if maybe(rng, 0.8):
        settings.append(("idle", {"policy": rng.choice(["owner", "spread", "platform"])}))
    if maybe(rng, 0.4):
        settings.append(("tokens", rng.choice(TOKENS)))
    if maybe(rng, 0.3):
        settings.append(("tokens.models.chat", rng.choice(MODEL_TOKENS)))
    if maybe(rng, 0.6):
        settings.append(('prices."OpenModels/gpt-x"', rng.choice(PRICES)))
    if maybe(rng, 0.3):
        settings.append(('prices."OpenModels/chat"', rng.choice(PRICES)))
    return settings


def smallest(world: World, fails: Callable[[World], bool]) -> World:
    """Takes away whatever can go while the world still fails: halves of its lists, then single items."""
    lists = ("charges", "requests", "series", "rules", "hosts", "owners", "rates", "settings")
    before = None
    while before != world:
        before = world
        for name in lists:
            size = len(getattr(world, name))
            while size:
                at = 0
                while at < len(getattr(world, name)):
                    items = getattr(world, name)
                    less = replace(world, **{name: items[:at] + items[at + size :]})
                    if fails(less):
                        world = less
                    else:
                        at += size
                size //= 2
        for number, request in enumerate(world.requests):
            for column in sorted(set(request) - {"request_id", "timestamp", "model"}):
                less_request = {k: v for k, v in world.requests[number].items() if k != column}
                requests = [*world.requests[:number], less_request, *world.requests[number + 1 :]]
                if fails(replace(world, requests=requests)):
                    world = replace(world, requests=requests)
        for number, one in enumerate(world.series):
            for value in list(one["values"]):
                values = [v for v in world.series[number]["values"] if v != value]
                series = [*world.series[:number], {**one, "values": values}, *world.series[number + 1 :]]
                if values and fails(replace(world, series=series)):
                    world = replace(world, series=series)
    return world
