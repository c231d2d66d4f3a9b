"""The rules of money once more: slow, obvious, in whole numbers and fractions, to hold the product against.

Nothing here comes from the product. A world is a folder with `hosts.csv owners.csv billing.csv gpu.json
requests.jsonl policy.toml` and, where there are other currencies, `rates.csv`; a missing file is empty.

    python tests/reference.py FOLDER START END          the allocations by hour and all ten keys, as CSV
    attribute(Path(FOLDER), date(...), date(...))       the same as values, with counts and charges
"""

import bisect
import csv
import json
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

KEY_COLUMNS = (
    "model", "model_version", "feature", "tenant", "team",
    "environment", "region", "endpoint", "provider", "project",
)  # fmt: skip
KEPT_BY_OWNERS = ("model", "team", "environment", "region")
HOST_LABELS = ("Hostname", "hostname", "node", "kubernetes_node", "instance")
ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
UTILISATION = "DCGM_FI_DEV_GPU_UTIL"
MILLION = 10**6
PICO = 10**12
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)

Key = tuple[str, ...]
NO_KEY: Key = ("",) * len(KEY_COLUMNS)
Cell = tuple[datetime, Key]
Cells = dict[Cell, int]


# Numbers


def half_up(value: Fraction) -> int:
    """The nearest whole number; a half goes away from zero."""
    whole = int((abs(value) * 2 + 1) // 2)
    return whole if value >= 0 else -whole


def truncated(numerator: int, denominator: int) -> int:
    """`div` of the rules: cut toward zero."""
    whole = abs(numerator) // abs(denominator)
    return whole if (numerator < 0) == (denominator < 0) else -whole


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """The telescoping rule."""
    total = sum(weights)
    ends = [0]
    running = 0
    for weight in weights:
        running += weight
        ends.append(truncated(amount * running, total))
    return [end - start for start, end in pairwise(ends)]


def split_over_cells(amount: int, cells: Cells) -> dict[Cell, int]:
    order = sorted(cells)
    return dict(zip(order, split(amount, [cells[cell] for cell in order]), strict=True))


def micros(value: Fraction) -> int:
    return half_up(value * MILLION)


def exact(value: Any) -> Fraction | None:
    """A number of JSON, TOML or CSV as it is written; none where there is none."""
    if value is None or value == "":
        return None
    return Fraction(Decimal(str(value)))


# Time


def moment(value: Any) -> datetime:
    """RFC 3339, a day, Unix seconds, or (from 10^11 on) milliseconds."""
    if not isinstance(value, str):
        seconds = Fraction(value) / (1000 if abs(value) >= 10**11 else 1)
        return datetime(1970, 1, 1, tzinfo=UTC) + half_up(seconds * MILLION) * MICROSECOND
    parsed = datetime.fromisoformat(value)
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def hour_of(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def milliseconds(value: Fraction) -> timedelta:
    return half_up(value * 1000) * MICROSECOND


def days_between(first: date, last: date) -> list[date]:
    return [first + DAY * n for n in range((last - first).days + 1)]


@dataclass(frozen=True)
class Window:
    """An hour or a UTC day, or one of the longer spans that are weighed like one."""

    start: datetime
    end: datetime

    @classmethod
    def hour(cls, time: datetime) -> "Window":
        return cls(hour_of(time), hour_of(time) + HOUR)

    @classmethod
    def of_day(cls, day: date) -> "Window":
        return cls(start_of(day), start_of(day) + DAY)

    @property
    def day(self) -> date:
        return self.start.date()

    def __contains__(self, time: datetime) -> bool:
        return self.start <= time < self.end


# What the files hold


class Dated(NamedTuple):
    value: str
    valid_from: datetime | None
    valid_to: datetime | None

    def in_force(self, time: datetime) -> bool:
        return (self.valid_from is None or self.valid_from <= time) and (
            self.valid_to is None or time < self.valid_to
        )


@dataclass
class Request:
    time: datetime
    key: Key
    names: dict[str, Any]
    cached: bool
    failed: bool
    predictions: int
    input_tokens: Fraction | None
    cached_input_tokens: Fraction
    output_tokens: Fraction | None
    gpu_ms: Fraction | None
    latency_ms: Fraction | None
    ttft_ms: Fraction | None
    units: frozenset["Unit"] = frozenset()
    alone: int = MILLION  # `s` of the batch-aware weight, in millionths

    @property
    def hour(self) -> datetime:
        return hour_of(self.time)

    @property
    def cell(self) -> Cell:
        return self.hour, self.key

    def column(self, name: str) -> str:
        return self.key[KEY_COLUMNS.index(name)]

    @property
    def tokens(self) -> tuple[Fraction, Fraction, Fraction] | None:
        """Input not from a cache, input from a cache, output; none where a count is missing."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens - self.cached_input_tokens, self.cached_input_tokens, self.output_tokens

    @property
    def decoding(self) -> tuple[datetime, datetime] | None:
        if self.ttft_ms is None or self.latency_ms is None:
            return None
        return self.time + milliseconds(self.ttft_ms), self.time + milliseconds(self.latency_ms)


class Sample(NamedTuple):
    time: datetime
    metric: str
    uuid: str
    instance: str
    value: int  # millionths
    labels: Mapping[str, str]

    @property
    def pod(self) -> str:
        return self.labels.get("exported_pod") or self.labels.get("pod") or ""

    @property
    def namespace(self) -> str:
        return self.labels.get("exported_namespace") or self.labels.get("namespace") or ""


@dataclass
class Charge:
    row: Mapping[str, str]
    tags: Mapping[str, str]
    start: datetime
    end: datetime
    cost: int  # the charge of record, in 10^-12 of its own currency
    disposition: str = ""
    rule: str = ""
    rule_number: int | None = None
    target: str = ""
    parts: dict[Window, int] = field(default_factory=dict)  # in 10^-12 of the reporting currency

    @property
    def resource(self) -> str:
        return self.row.get("AllocatedResourceId") or self.row.get("ResourceId", "")

    @property
    def currency(self) -> str:
        return self.row["BillingCurrency"]

    @property
    def days(self) -> list[date]:
        last = max(self.start, self.end - MICROSECOND)
        return days_between(self.start.date(), last.date())


class Unit(NamedTuple):
    """kind: gpu, instance, remainder, resource, model or api."""

    kind: str
    name: tuple[str, ...]


class Group(NamedTuple):
    """Charges that are alike are summed before they are split."""

    window: Window
    source: tuple[str, str]
    rule_number: int | None
    disposition: str
    target: str
    project: str
    resource: str
    model_tag: str
    billing_account: str
    billing_period: str
    service_category: str
    currency: str


class Allocation(NamedTuple):
    hour: datetime
    key: Key
    cost_type: str
    reason: str
    cost: Decimal


@dataclass
class Counts:
    requests: int = 0
    failed_requests: int = 0
    cached_requests: int = 0
    predictions: int = 0
    input_tokens: Fraction = Fraction(0)
    cached_input_tokens: Fraction = Fraction(0)
    output_tokens: Fraction = Fraction(0)
    gpu_seconds: Fraction | None = None


@dataclass
class Result:
    allocations: list[Allocation]
    counts: dict[Cell, Counts]
    charges: list[Charge]
    charged: (
        Decimal  # what the run had to attribute: the windows in its days that are neither out nor unconverted
    )


# Reading the files


def rows_of(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: "" if value in (None, "NULL") else value for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def optional_moment(text: str | None) -> datetime | None:
    return moment(text) if text else None


def read_dated(rows: Iterable[Mapping[str, str]], name: Sequence[str], value: str) -> dict[Any, list[Dated]]:
    table: dict[Any, list[Dated]] = defaultdict(list)
    for row in rows:
        dated = Dated(
            row[value], optional_moment(row.get("valid_from")), optional_moment(row.get("valid_to"))
        )
        table[tuple(row[column] for column in name)].append(dated)
    return table


def in_force(table: Mapping[Any, Sequence[Dated]], name: tuple[str, ...], time: datetime) -> str:
    return next((dated.value for dated in table.get(name, ()) if dated.in_force(time)), "")


def read_charges(path: Path) -> list[Charge]:
    charges = []
    for row in rows_of(path):
        cost = half_up(Fraction(Decimal(row["EffectiveCost"])) * PICO)
        tags = json.loads(row.get("Tags") or "{}", parse_float=Decimal) or {}
        texts = {name: tag_text(value) for name, value in tags.items()}
        charges.append(
            Charge(row, texts, moment(row["ChargePeriodStart"]), moment(row["ChargePeriodEnd"]), cost)
        )
    return charges


def tag_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def read_samples(path: Path) -> list[Sample]:
    if not path.exists():
        return []
    series = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)["data"]["result"]
    samples = []
    for one in series:
        labels = one["metric"]
        if labels["__name__"] not in (ACTIVE, UTILISATION):
            continue
        for time, text in one["values"]:
            value = reading(labels["__name__"], text)
            if value is not None:
                samples.append(
                    Sample(
                        moment(time),
                        labels["__name__"],
                        labels.get("UUID") or labels["uuid"],
                        labels.get("GPU_I_ID", ""),
                        value,
                        labels,
                    )
                )
    return samples


def reading(metric: str, text: str) -> int | None:
    """Millionths; a sentinel, NaN or an infinity is no sample."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or value >= 2**62:
        return None
    millionths = half_up(Fraction(value) * (MILLION if metric == ACTIVE else 10**4))
    return min(max(millionths, 0), MILLION)


def read_requests(path: Path, owners: Mapping[Any, Sequence[Dated]]) -> list[Request]:
    """Of a request delivered twice on one UTC day the first counts."""
    if not path.exists():
        return []
    seen = set()
    requests = []
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line, parse_float=Decimal)
        time = moment(record["timestamp"])
        if (time.date(), record["request_id"]) not in seen:
            seen.add((time.date(), record["request_id"]))
            requests.append(request_of(record, time, owners))
    return requests


def request_of(record: Mapping[str, Any], time: datetime, owners: Mapping[Any, Sequence[Dated]]) -> Request:
    columns = {name: record.get(name) or "" for name in KEY_COLUMNS}
    if not columns["team"]:
        columns["team"] = in_force(owners, ("feature", columns["feature"]), hour_of(time)) or in_force(
            owners, ("model", columns["model"]), hour_of(time)
        )
    uuids = record.get("gpu_uuid") or []
    predictions = record.get("predictions")
    return Request(
        time=time,
        key=tuple(columns[name] for name in KEY_COLUMNS),
        names={
            "gpu_uuid": [uuids] if isinstance(uuids, str) else uuids,
            **{name: record.get(name) or "" for name in ("namespace", "pod", "host", "resource_id")},
        },
        cached=bool(record.get("cached")),
        failed=not succeeded(record.get("status")),
        predictions=1 if predictions is None else predictions,
        input_tokens=exact(record.get("input_tokens")),
        cached_input_tokens=exact(record.get("cached_input_tokens")) or Fraction(0),
        output_tokens=exact(record.get("output_tokens")),
        gpu_ms=exact(record.get("gpu_ms")),
        latency_ms=exact(record.get("latency_ms")),
        ttft_ms=exact(record.get("ttft_ms")),
    )


def succeeded(status: Any) -> bool:
    return status in (None, "", "ok") or re.fullmatch(r"2\d\d", str(status)) is not None


# The rules


class World:
    """One folder, read; each question of the rules is a method, in the order of the steps."""

    def __init__(self, folder: Path, currency: str = "USD") -> None:
        self.currency = currency
        self.policy = tomllib.loads((folder / "policy.toml").read_text(encoding="utf-8"), parse_float=Decimal)
        self.hosts = read_dated(rows_of(folder / "hosts.csv"), ["host"], "resource_id")
        self.owners = read_dated(rows_of(folder / "owners.csv"), ["kind", "name"], "team")
        self.rates = {
            (row["currency"], date.fromisoformat(row["date"])): Fraction(Decimal(row["rate"]))
            for row in rows_of(folder / "rates.csv")
        }
        self.charges = read_charges(folder / "billing.csv")
        self.requests = read_requests(folder / "requests.jsonl", self.owners)
        samples = read_samples(folder / "gpu.json")
        with_instances = {(s.time.date(), s.uuid) for s in samples if s.instance}
        self.samples = [s for s in samples if s.instance or (s.time.date(), s.uuid) not in with_instances]
        self.samples_of: dict[tuple[date, str], list[Sample]] = defaultdict(list)
        for sample in self.samples:
            self.samples_of[sample.time.date(), sample.uuid].append(sample)
        self.idle_policy: str = self.policy.get("idle", {}).get("policy", "owner")
        for request in self.requests:
            request.units = frozenset(self.placement(request))
        for company in self.decoding_together():
            share_decoding(company)

    # Names

    def resource_of_host(self, host: str, day: date) -> str:
        return in_force(self.hosts, (host,), start_of(day))

    @cache  # noqa: B019  (a world lives as long as the run)
    def named_by_requests(self, day: date) -> frozenset[str]:
        return frozenset(r.names["resource_id"] for r in self.requests if r.time.date() == day) - {""}

    @cache  # noqa: B019
    def named_by_metrics(self, day: date) -> frozenset[str]:
        return frozenset(self.host_of(s) for s in self.samples if s.time.date() == day) - {""}

    def in_inventory(self, resource: str, day: date) -> bool:
        return any(
            d.value == resource and d.in_force(start_of(day)) for dated in self.hosts.values() for d in dated
        )

    def known(self, resource: str, days: Sequence[date]) -> bool:
        """In the inventory on a day of the charge; or named on one, or in the 7 days before."""
        before = days_between(days[0] - 7 * DAY, days[-1])
        return resource != "" and (
            any(self.in_inventory(resource, day) for day in days)
            or any(resource in self.named_by_requests(day) | self.named_by_metrics(day) for day in before)
        )

    def host_of(self, sample: Sample) -> str:
        """The first host label in the inventory, else the first known resource id, else the first."""
        # Known to the inventory or by requests: by metrics too would go in a circle.
        labels = tuple(sample.labels.get(label, "") for label in HOST_LABELS[:-1])
        instance = sample.labels.get("instance", "")
        return self.host_among((*labels, re.sub(r":\d+$", "", instance)), sample.time.date())

    @cache  # noqa: B019
    def host_among(self, labels: tuple[str, ...], day: date) -> str:
        hosts = [label for label in labels if label]
        week = days_between(day - 7 * DAY, day)

        def is_resource(host: str) -> bool:
            return self.in_inventory(host, day) or any(host in self.named_by_requests(d) for d in week)

        return (
            next((host for host in hosts if self.resource_of_host(host, day)), "")
            or next((host for host in hosts if is_resource(host)), "")
            or next(iter(hosts), "")
        )

    # Step 2: rules

    def judge(self, charge: Charge) -> None:
        """Sets the charge's disposition, rule and target."""
        for number, rule in enumerate(self.policy.get("rules", [])):
            if all(matches(self.fact(charge, name), wanted) for name, wanted in rule["when"].items()):
                [(charge.disposition, target)] = rule["then"].items()
                charge.rule, charge.rule_number = rule.get("name", ""), number
                charge.target = "" if target is True else target
                return
        if self.known(charge.resource, charge.days):
            charge.disposition = "direct"
        elif charge.tags.get("model"):
            charge.disposition, charge.target = "model", charge.tags["model"]
        else:
            charge.disposition = "exclude"

    def fact(self, charge: Charge, name: str) -> str:
        # A rule sees a column as the bill has it, so `ResourceId` is not the allocated resource.
        return charge.tags.get(name[5:], "") if name.startswith("Tags.") else charge.row.get(name, "")

    # Step 3: windows, and money in the reporting currency

    def cut(self, charge: Charge) -> dict[Window, int]:
        if charge.end - charge.start <= HOUR:
            return {Window.hour(charge.start): charge.cost}
        windows = [Window.of_day(day) for day in charge.days]
        spans = [min(w.end, charge.end) - max(w.start, charge.start) for w in windows]
        return dict(zip(windows, split(charge.cost, [span // MICROSECOND for span in spans]), strict=True))

    def rate(self, currency: str, day: date) -> Fraction | None:
        if currency == self.currency:
            return Fraction(1)
        week = reversed(days_between(day - 7 * DAY, day))
        return next((self.rates[currency, d] for d in week if (currency, d) in self.rates), None)

    def convert(self, charge: Charge) -> None:
        """Cuts the charge into windows of reporting currency; all of it stays out where a rate is missing."""
        # Also where a rule excludes it: without a rate there is no cost to exclude.
        for window, part in self.cut(charge).items():
            rate = self.rate(charge.currency, window.day)
            if rate is None:
                charge.parts = {}
                charge.disposition = "unconverted"
                return
            charge.parts[window] = half_up(part * rate)

    # Step 4: units of a resource

    @cache  # noqa: B019
    def gpus_of_day(self, day: date) -> dict[str, list[tuple[str, str]]]:
        """By GPU, the (host, resource) pairs that its samples of the day name."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for (sampled, uuid), samples in self.samples_of.items():
            if sampled == day:
                hosts = {self.host_of(sample) for sample in samples}
                found[uuid] = sorted((host, self.resource_of_host(host, day) or host) for host in hosts)
        return found

    def gpus_of_resource(self, resource: str, day: date) -> list[str]:
        return sorted(u for u, places in self.gpus_of_day(day).items() if resource in {r for _, r in places})

    def gpus_of_host(self, host: str, day: date) -> list[str]:
        return sorted(u for u, places in self.gpus_of_day(day).items() if host in {h for h, _ in places})

    def instances(self, uuid: str, day: date) -> dict[str, int]:
        """Compute slices by instance id, in order of the ids."""
        slices: dict[str, int] = {}
        for sample in self.samples_of[day, uuid]:
            if sample.instance:
                profile = re.match(r"(\d+)g", sample.labels.get("GPU_I_PROFILE", ""))
                slices[sample.instance] = max(
                    slices.get(sample.instance, 1), int(profile[1]) if profile else 1
                )
        return dict(
            sorted(slices.items(), key=lambda item: (not item[0].isdigit(), int(item[0] or 0), item[0]))
        )

    def units_of_gpu(self, uuid: str, day: date) -> list[Unit]:
        """Those that serve requests: the instances, or the GPU itself."""
        return [Unit("instance", (uuid, i)) for i in self.instances(uuid, day)] or [Unit("gpu", (uuid,))]

    def slices_of_gpu(self, uuid: str, day: date) -> list[tuple[Unit, int]]:
        slices = self.instances(uuid, day)
        if not slices:
            return [(Unit("gpu", (uuid,)), 1)]
        names = {sample.labels.get("modelName", "") for sample in self.samples_of[day, uuid]}
        whole = 4 if any(re.search(r"\bA30\b", name) for name in names) else 7
        shares = [(Unit("instance", (uuid, i)), n) for i, n in slices.items()]
        rest = whole - sum(slices.values())
        return [*shares, (Unit("remainder", (uuid,)), rest)] if rest > 0 else shares

    def units_of_group(self, group: Group, cost: int) -> Iterator[tuple[Unit, int]]:
        """The units that a group's cost falls on, with their parts of it."""
        if group.disposition == "model":
            yield Unit("model", (group.target,)), cost
        elif group.disposition == "api":
            yield Unit("api", (group.target, group.project, group.model_tag)), cost
        else:
            day = group.window.day
            gpus = self.gpus_of_resource(group.resource, day) if group.resource else []
            if not gpus:
                yield Unit("resource", (group.resource,)), cost
            for uuid, part in zip(gpus, split(cost, [1] * len(gpus)), strict=True):
                slices = self.slices_of_gpu(uuid, day)
                parts = split(part, [n for _, n in slices])
                yield from zip((unit for unit, _ in slices), parts, strict=True)

    # Step 5: busy

    def busy(self, unit: Unit, window: Window) -> int:
        """Millionths."""
        if unit.kind in ("model", "api"):
            return MILLION
        if unit.kind == "remainder":
            return 0
        for metric in (ACTIVE, UTILISATION):
            largest: dict[datetime, int] = {}
            for sample in self.samples_of.get((window.day, unit.name[0]), []):
                of_unit = unit.kind == "gpu" or unit.name[1:] == (sample.instance,)
                if unit.kind != "resource" and of_unit and sample.metric == metric and sample.time in window:
                    largest[sample.time] = max(largest.get(sample.time, 0), sample.value)
            if largest:
                return sum(largest.values()) // len(largest)
        return MILLION if self.weights(unit, window) else 0

    # Step 6: requests to units

    def placement(self, request: Request) -> list[Unit]:
        day = request.time.date()
        names = request.names
        known = [uuid for uuid in names["gpu_uuid"] if (day, uuid) in self.samples_of]
        if known:
            return [unit for uuid in known for unit in self.units_of_gpu(uuid, day)]
        if names["pod"]:
            units = [
                Unit("instance", (s.uuid, s.instance)) if s.instance else Unit("gpu", (s.uuid,))
                for s in self.pods_in(request.hour).get(names["pod"], [])
                if names["namespace"] in ("", s.namespace)
            ]
            if units:
                return units
        resource = self.resource_of_host(names["host"], day) if names["host"] else ""
        if resource:
            on_host = self.gpus_of_host(names["host"], day)
            if on_host:
                return [unit for uuid in on_host for unit in self.units_of_gpu(uuid, day)]
        resource = resource or names["resource_id"]
        if resource:
            gpus = self.gpus_of_resource(resource, day)
            return [u for uuid in gpus for u in self.units_of_gpu(uuid, day)] or [
                Unit("resource", (resource,))
            ]
        return []

    @cache  # noqa: B019
    def pods_in(self, hour: datetime) -> dict[str, list[Sample]]:
        pods: dict[str, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            if hour_of(sample.time) == hour:
                pods[sample.pod].append(sample)
        return pods

    # Step 7: weights

    def decoding_together(self) -> list[list[Request]]:
        """Requests with both times, by UTC day and set of units (on no unit: provider, project and model)."""
        groups: dict[Any, list[Request]] = defaultdict(list)
        for r in self.requests:
            if r.decoding and not r.cached:
                elsewhere = r.column("provider"), r.column("project"), r.column("model")
                groups[r.time.date(), r.units or elsewhere].append(r)
        return list(groups.values())

    def portion(self, r: Request, unit: Unit) -> tuple[int, int]:
        """A request counts at the unit for so many of its so many units."""
        if unit.kind == "model":
            return int(r.column("model") == unit.name[0]), 1
        if unit.kind == "api":
            provider, project, model = unit.name
            here = (r.column("provider"), r.column("project")) == (provider, project)
            return int(here and model in ("", r.column("model"))), 1
        if unit.kind == "remainder":
            # At all the instances of the GPU: what it weighs at each of them, together.
            return sum(u.kind == "instance" and u.name[0] == unit.name[0] for u in r.units), len(r.units)
        return int(unit in r.units), len(r.units)

    @cache  # noqa: B019
    def weights(self, unit: Unit, window: Window) -> Cells:
        """Cells that have a weight, by the best measure; none where the weights sum to 0."""
        portions = [(r, *self.portion(r, unit)) for r in self.requests if r.time in window and not r.cached]
        uncached = [(r, mine, of) for r, mine, of in portions if mine]
        deciding = [r for r, _, _ in uncached if not r.failed] or [r for r, _, _ in uncached]
        cells: Cells = defaultdict(int)
        for measure in self.api_measures if unit.kind == "api" else self.measures:
            if all(measure(r) is not None for r in deciding):
                for r, mine, of in uncached:
                    weight = measure(r)
                    if weight is not None:
                        cells[r.cell] += mine * (micros(weight) // of)
                break
        return {cell: weight for cell, weight in cells.items() if weight}

    @property
    def measures(self) -> list[Callable[[Request], Fraction | None]]:
        return [
            lambda r: r.gpu_ms,
            self.batch_aware_tokens,
            self.token_weight,
            lambda r: r.latency_ms,
            lambda r: Fraction(1),
        ]

    @property
    def api_measures(self) -> list[Callable[[Request], Fraction | None]]:
        return [self.list_price, self.token_weight, lambda r: r.latency_ms, lambda r: Fraction(1)]

    def coefficient(self, model: str, name: str, default: str) -> Fraction:
        tokens = self.policy.get("tokens", {})
        own = tokens.get("models", {}).get(model, {})
        value = own.get(name, tokens.get(name, default))
        return Fraction(Decimal(str(value)))

    def batch_aware_tokens(self, r: Request) -> Fraction | None:
        if r.tokens is None or r.decoding is None:
            return None
        u, cached, o = r.tokens
        p = u + cached
        s = Fraction(r.alone, MILLION)
        read = self.coefficient(r.column("model"), "weight_read", "185")
        g = self.coefficient(r.column("model"), "context", "1.5")
        return u + read * o * s + g / 1000 * o * (p + o / 2)

    def token_weight(self, r: Request) -> Fraction | None:
        if r.tokens is None:
            return None
        uncached, cached, output = r.tokens
        model = r.column("model")
        return (
            self.coefficient(model, "input", "1") * uncached
            + self.coefficient(model, "cached_input", "0.1") * cached
            + self.coefficient(model, "output", "4") * output
        )

    def list_price(self, r: Request) -> Fraction | None:
        price = self.policy.get("prices", {}).get(f"{r.column('provider')}/{r.column('model')}")
        if price is None or r.tokens is None:
            return None
        uncached, cached, output = r.tokens
        return (
            Fraction(price["input"]) * uncached
            + Fraction(price.get("cached_input", price["input"])) * cached
            + Fraction(price["output"]) * output
        )

    # Step 8: usage and idle

    def owned(self, key: Key, hour: datetime) -> Key:
        """The key's model, team, environment and region; the team is the model's owner, else the key's."""
        columns = dict(zip(KEY_COLUMNS, key, strict=True))
        columns["team"] = in_force(self.owners, ("model", columns["model"]), hour) or columns["team"]
        return tuple(columns[name] if name in KEPT_BY_OWNERS else "" for name in KEY_COLUMNS)

    def key_of_model(self, model: str, hour: datetime) -> Key:
        return self.owned((model, *NO_KEY[1:]), hour)

    def cells_for(self, group: Group, unit: Unit, cost_type: str) -> tuple[str, Cells]:
        """The cost type and the cells with their weights that a part of a unit's cost goes to."""
        window = group.window
        first = hour_of(window.start)
        if cost_type == "idle" and self.idle_policy == "platform":
            return "idle", {(first, NO_KEY): 1}
        weights = self.weights(unit, window)
        if weights:
            reduced = cost_type == "idle" and self.idle_policy == "owner"
            return cost_type, self.reduce(weights) if reduced else weights
        if group.disposition == "model" and group.rule_number is not None:
            return cost_type, {(first, self.key_of_model(group.target, first)): 1}
        if group.model_tag:
            return cost_type, {(first, self.key_of_model(group.model_tag, first)): 1}
        today = start_of(window.day)
        for span in (Window(today, today + DAY), Window(today - 7 * DAY, today)):
            weights = self.weights(unit, span)
            if weights:
                return cost_type, self.reduce(weights, at=first)
        return "unallocated", {(first, NO_KEY): 1}

    def reduce(self, weights: Cells, at: datetime | None = None) -> Cells:
        cells: Cells = defaultdict(int)
        for (hour, key), weight in weights.items():
            cells[at or hour, self.owned(key, at or hour)] += weight
        return cells

    # Step 9: shared

    def requests_in_scope(self, pool: Mapping[str, Any], day: date) -> list[Request]:
        return [r for r in self.requests if r.time.date() == day and in_scope(pool, r.key)]

    def cells_of_pool(
        self, pool: Mapping[str, Any], day: date, direct: Mapping[tuple[Cell, str], int]
    ) -> Cells:
        driver = pool.get("driver", "direct_cost")
        first = start_of(day)
        if driver in ("even", "fixed"):
            if driver == "even":
                over = KEY_COLUMNS.index(pool["over"])
                shares = {r.key[over]: 1 for r in self.requests_in_scope(pool, day) if r.key[over]}
            else:
                shares = {value: micros(Fraction(Decimal(str(n)))) for value, n in pool["shares"].items()}
            return {
                (first, tuple(value if column == pool["over"] else "" for column in KEY_COLUMNS)): share
                for value, share in shares.items()
            }
        cells: Cells = defaultdict(int)
        if driver in ("direct_cost", "usage_cost"):
            for (cell, cost_type), cost in direct.items():
                counts = cost_type == "usage" or (cost_type == "idle" and driver == "direct_cost")
                if counts and cell[0].date() == day and cell[1][0] and in_scope(pool, cell[1]):
                    cells[cell] += cost
            return {cell: max(cost, 0) for cell, cost in cells.items()}
        for r in self.requests_in_scope(pool, day):
            if driver == "requests":
                cells[r.cell] += 1
            elif driver == "tokens":
                cells[r.cell] += micros((r.input_tokens or Fraction(0)) + (r.output_tokens or Fraction(0)))
            else:
                cells[r.cell] += micros(r.gpu_ms or Fraction(0))
        return cells

    # The run

    def run(self, start: date, end: date) -> Result:
        groups: dict[Group, int] = defaultdict(int)
        for charge in self.charges:
            self.judge(charge)
            self.convert(charge)
            for window, cost in charge.parts.items():
                if start <= window.day < end and charge.disposition != "exclude":
                    groups[group_of(charge, window)] += cost

        direct: dict[tuple[Cell, str], int] = defaultdict(int)
        allocated: dict[tuple[Cell, str, str], int] = defaultdict(int)
        for group, cost in groups.items():
            if group.disposition != "pool":
                for cell, cost_type, share in self.spread(group, cost):
                    direct[cell, cost_type] += share
                    allocated[cell, cost_type, "no_requests" if cost_type == "unallocated" else ""] += share
        pools = {pool["name"]: pool for pool in self.policy.get("pools", [])}
        for group, cost in groups.items():
            if group.disposition == "pool":
                day = group.window.day
                cells = self.cells_of_pool(pools[group.target], day, direct)
                if sum(cells.values()) > 0:
                    for cell, share in split_over_cells(cost, cells).items():
                        allocated[cell, "shared", ""] += share
                else:
                    allocated[(start_of(day), NO_KEY), "unallocated", "no_driver"] += cost

        assert sum(allocated.values()) == sum(groups.values()), "every cent in is a cent out"
        return Result(
            allocations=[
                Allocation(hour, key, cost_type, reason, money(cost))
                for ((hour, key), cost_type, reason), cost in sorted(allocated.items())
                if cost
            ],
            counts=self.counts(start, end),
            charges=self.charges,
            charged=money(sum(groups.values())),
        )

    def spread(self, group: Group, cost: int) -> Iterator[tuple[Cell, str, int]]:
        for unit, part in self.units_of_group(group, cost):
            usage = truncated(part * self.busy(unit, group.window), MILLION)
            for cost_type, amount in (("usage", usage), ("idle", part - usage)):
                if amount:
                    settled, cells = self.cells_for(group, unit, cost_type)
                    for cell, share in split_over_cells(amount, cells).items():
                        yield cell, settled, share

    def counts(self, start: date, end: date) -> dict[Cell, Counts]:
        table: dict[Cell, Counts] = defaultdict(Counts)
        for r in self.requests:
            if start <= r.time.date() < end:
                counts = table[r.cell]
                counts.requests += 1
                counts.failed_requests += r.failed
                counts.cached_requests += r.cached
                counts.predictions += 0 if r.failed else r.predictions
                counts.input_tokens += r.input_tokens or 0
                counts.cached_input_tokens += r.cached_input_tokens
                counts.output_tokens += r.output_tokens or 0
                if r.gpu_ms is not None:
                    counts.gpu_seconds = (counts.gpu_seconds or Fraction(0)) + r.gpu_ms / 1000
        return table


def matches(fact: str, wanted: Any) -> bool:
    """Any of a list; `*` stands for any text, none included."""
    if isinstance(wanted, list):
        return any(matches(fact, one) for one in wanted)
    pattern = ".*".join(re.escape(piece) for piece in tag_text(wanted).split("*"))
    return re.fullmatch(pattern, fact, re.DOTALL) is not None


def in_scope(pool: Mapping[str, Any], key: Key) -> bool:
    columns = dict(zip(KEY_COLUMNS, key, strict=True))
    return all(matches(columns[name], wanted) for name, wanted in pool.get("scope", {}).items())


def group_of(charge: Charge, window: Window) -> Group:
    return Group(
        window=window,
        source=(charge.row["ProviderName"], charge.row["BillingAccountId"]),
        rule_number=charge.rule_number,
        disposition=charge.disposition,
        target=charge.target,
        project=charge.row.get("SubAccountId", "") if charge.disposition == "api" else "",
        resource=charge.resource,
        model_tag=charge.tags.get("model", ""),
        billing_account=charge.row["BillingAccountId"],
        billing_period=charge.row.get("BillingPeriodStart", ""),
        service_category=charge.row.get("ServiceCategory", ""),
        currency=charge.currency,
    )


def share_decoding(company: Sequence[Request]) -> None:
    """Sets `s` of requests that decode on the same units on one day: the mean of 1 / requests decoding."""
    spans = [r.decoding for r in company if r.decoding and r.decoding[0] < r.decoding[1]]
    edges = sorted({edge for span in spans for edge in span})
    decoding = [sum(start <= edge < end for start, end in spans) for edge in edges]
    for r in company:
        if r.decoding not in spans:
            continue
        start, end = r.decoding
        shared = whole = 0
        for at in range(bisect.bisect_left(edges, start), bisect.bisect_left(edges, end)):
            piece = (edges[at + 1] - edges[at]) // MICROSECOND
            shared += piece * MILLION // decoding[at]
            whole += piece
        r.alone = shared // whole


def money(pico: int) -> Decimal:
    return Decimal(pico).scaleb(-12)


def attribute(folder: Path, start: date, end: date, currency: str = "USD") -> Result:
    return World(folder, currency).run(start, end)


def main(folder: str, start: str, end: str) -> None:
    result = attribute(Path(folder), date.fromisoformat(start), date.fromisoformat(end))
    out = csv.writer(sys.stdout)
    out.writerow(["period", *KEY_COLUMNS, "cost_type", "reason", "cost"])
    for one in result.allocations:
        out.writerow(
            [one.hour.strftime("%Y-%m-%dT%H:%M:%SZ"), *one.key, one.cost_type, one.reason, f"{one.cost:.12f}"]
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
