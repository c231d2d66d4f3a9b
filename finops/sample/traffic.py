"""One day's request log, as an Arrow table in the columns of the canonical format."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finops.sample.demand import MOMENTS, SLOTS, Demand, Floats, micros
from finops.sample.organisation import (
    AWS_REGION,
    FEATURES,
    MODELS,
    NODE,
    PLAYGROUND,
    PROMPT_CHANGED,
    STAGING_TENANT,
    STORM_TENANT,
    STORMED,
    TENANTS,
    Feature,
    Model,
)
from finops.sample.stories import Plan

Ints = NDArray[np.int64]

STORM_FACTOR = 12
_GOLDEN = (5**0.5 - 1) / 2
_NONE = -1  # no value, in a column of integers
_NAMES = (
    "model", "model_version", "feature", "tenant", "environment", "region", "endpoint", "provider", "project",
    "host", "resource_id", "namespace", "pod", "gpu_uuid", "status",
)  # fmt: skip
_NUMBERS = (
    "input_tokens", "cached_input_tokens", "output_tokens", "latency_ms", "ttft_ms", "queue_ms", "batch_size",
    "predictions", "value",
)  # fmt: skip


@dataclass
class Names:
    """A column of few different texts: the texts, and which of them each row has (-1: none)."""

    texts: Sequence[str]
    index: Ints


@dataclass
class Rows:
    """Requests of one feature; what is not in it the log does not have."""

    time: Ints  # microseconds since 1970
    names: dict[str, Names]
    numbers: dict[str, Ints]
    gpu_ms: Floats | None = None
    cached: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.time)


@dataclass
class Tokens:
    """What a metered API counts: per (day, project, model) uncached input, cached input and output."""

    sums: dict[tuple[int, str, str], tuple[int, int, int]] = field(default_factory=dict)

    def add(self, day: int, feature: Feature, rows: Rows) -> None:
        number = {
            name: int(rows.numbers[name].clip(min=0).sum())
            for name in ("input_tokens", "cached_input_tokens", "output_tokens")
        }
        cached = number["cached_input_tokens"]
        new = (number["input_tokens"] - cached, cached, number["output_tokens"])
        key = (day, feature.project, feature.model)
        before = self.sums.get(key, (0, 0, 0))
        self.sums[key] = (before[0] + new[0], before[1] + new[1], before[2] + new[2])


def day_of_requests(demand: Demand, day: int, tokens: Tokens) -> pa.Table:
    """The log of day number `day`, by time; a few rows come twice, as shippers do.

    `tokens` learns what the metered API was asked for.
    """
    plan, parts = demand.plan, list[Rows]()
    for row, feature in enumerate(FEATURES):
        rng = np.random.default_rng([demand.seed, 2, plan.days[day].toordinal(), row])
        rows = _requests(demand, day, feature, int(demand.counts[row, day]), rng)
        parts.append(rows)
        if feature.project:
            tokens.add(day, feature, rows)
        if feature.name == STORMED and plan.storm <= plan.days[day] < plan.storm_over:
            usual = demand.requests * feature.share / 100 / len(plan.days)
            share = _tenant_shares(demand.seed, feature)[TENANTS.index(STORM_TENANT)]
            extra = max(1, round(usual * share * (STORM_FACTOR - 1)))
            storm = _requests(demand, day, feature, extra, rng, storm=True)
            parts.append(storm)
            tokens.add(day, feature, storm)
    rng = np.random.default_rng([demand.seed, 3, plan.days[day].toordinal()])
    return _table(parts, rng, broken=2 if plan.days[day] == plan.handover else 0)


def _requests(
    demand: Demand, day: int, feature: Feature, count: int, rng: np.random.Generator, storm: bool = False
) -> Rows:
    """`count` requests of one feature, spread evenly under its rhythm.

    Moments and tenants are taken from evenly spread points rather than by chance: so the days
    are as alike as those of far more traffic would be. In a storm all are one tenant's, who
    gives up waiting and asks again while the server still answers the first time.
    """
    model, plan = MODELS[feature.model], demand.plan
    version = model.version(plan, day)
    points = (np.arange(count) + rng.random(count)) / max(count, 1)
    moment = np.interp(points, MOMENTS[feature.rhythm], np.arange(SLOTS + 1) / SLOTS)
    time = micros(plan.days[day]) + np.minimum((moment * 86_400_000).astype(np.int64), 86_399_999) * 1000
    if storm:
        tenant = np.full(count, TENANTS.index(STORM_TENANT))
    else:
        even = (rng.random() + np.arange(count) * _GOLDEN) % 1
        tenant = np.searchsorted(np.cumsum(_tenant_shares(demand.seed, feature))[:-1], even, side="right")
    staging = np.zeros(count, dtype=bool) if storm else np.arange(count) % 20 == 7
    tenant[staging] = len(TENANTS)
    status = np.where(rng.random(count) < (0.86 if storm else 0.011), 1, 0)
    lost = (status == 1) & (rng.random(count) < 0.7) & (not storm)  # failed before anything was measured
    cached = rng.random(count) < feature.cached if feature.cached else None
    names = {
        "model": _one(feature.model, count),
        "model_version": _one(version, count),
        "feature": _one(feature.name, count),
        "tenant": Names([*TENANTS, STAGING_TENANT], tenant),
        "environment": Names(["prod", "staging"], staging.astype(np.int64)),
        "endpoint": _one(feature.endpoint, count),
        "status": Names(["ok", "timeout" if storm else "error"], status),
    }
    if model.provider:
        names["provider"] = _one(model.provider, count)
        names["project"] = _one(feature.project, count)
        names["region"] = _one(AWS_REGION, count)
        names["status"].texts = ["200", "504" if storm else "429"]
    else:
        names |= _placement(model, version, rng.choice(len(model.replicas), count, p=_shares(model)), staging)
    rows = Rows(time, names, {}, cached=cached)
    longer = feature.name == PROMPT_CHANGED and plan.days[day] >= plan.prompt_change
    _measure(rows, feature, rng, lost, 2 if longer else 1)
    return rows


def _measure(
    rows: Rows, feature: Feature, rng: np.random.Generator, lost: NDArray[np.bool_], growth: int
) -> None:
    """Sizes and times, as far as the feature's log has them; what a cache answered took no GPU."""
    count, numbers = len(rows), rows.numbers
    served = ~lost if rows.cached is None else ~lost & ~rows.cached

    def about(median: float, spread: float) -> Floats:
        return np.asarray(median * np.exp(spread * rng.standard_normal(count)))

    prompt, answer = feature.tokens
    if prompt:
        numbers["input_tokens"] = np.maximum(1, about(prompt * growth, 0.35)).astype(np.int64)
    if answer:
        numbers["output_tokens"] = np.maximum(1, about(answer * growth, 0.35)).astype(np.int64)
    if feature.prefix:
        part = np.minimum(1.0, feature.prefix * 2 * rng.random(count))
        numbers["cached_input_tokens"] = (numbers["input_tokens"] * part).astype(np.int64)
    elif feature.kind == "api":
        numbers["cached_input_tokens"] = np.zeros(count, dtype=np.int64)
    if feature.rows > 1:
        numbers["predictions"] = np.maximum(1, about(feature.rows, 0.3)).astype(np.int64)
    if feature.valued:
        numbers["value"] = ((rng.random(count) < feature.valued) & ~lost).astype(np.int64)
    if feature.kind in {"llm", "api"}:
        first = about(120, 0.3) + numbers["input_tokens"] * 0.11
        numbers["ttft_ms"] = _if(served, first)
        decoding = numbers["output_tokens"] * about(feature.ms or 14.0, 0.08)
        numbers["latency_ms"] = _if(served, first.astype(np.int64) + decoding)
        for name in ("input_tokens", "output_tokens", "cached_input_tokens"):
            if name in numbers:
                numbers[name] = np.where(lost, _NONE, numbers[name])
    elif feature.kind == "batch":
        gpu = np.round(about(feature.ms, 0.3), 3)
        queue = about(40, 0.6)
        numbers["queue_ms"] = _if(served, queue)
        numbers["batch_size"] = _if(served, 8 + rng.integers(0, 4, count) * 8)
        numbers["latency_ms"] = _if(served, gpu * 1.04 + queue)
        rows.gpu_ms = np.where(served, gpu, np.nan)
    else:
        numbers["latency_ms"] = _if(~lost, np.maximum(1, about(feature.ms, 0.3)))
    if rows.cached is not None:
        answered = rows.cached & ~lost
        numbers["latency_ms"] = np.where(answered, rng.integers(2, 30, count), numbers["latency_ms"])


def _if(known: NDArray[np.bool_], value: Any) -> Ints:
    return np.where(known, np.asarray(value).astype(np.int64), _NONE)


def _one(text: str, count: int) -> Names:
    return Names([text], np.full(count, 0 if text else _NONE))


def _shares(model: Model) -> Floats:
    shares = np.array([replica.share for replica in model.replicas])
    return np.asarray(shares / shares.sum())


def _tenant_shares(seed: int, feature: Feature) -> Floats:
    """Few large tenants and a long tail, ordered by feature; the smaller do not use every one."""
    rng = np.random.default_rng([seed, 4, FEATURES.index(feature)])
    ranks = np.arange(len(TENANTS))
    shares = np.exp(0.3 * rng.standard_normal(len(TENANTS))) / (ranks + 1.5) ** 1.15
    shares[(ranks >= 8) & ((ranks + FEATURES.index(feature)) % 3 > 0)] = 0
    return np.asarray(shares / shares.sum())


def _placement(model: Model, version: str, replica: Ints, staging: NDArray[np.bool_]) -> dict[str, Names]:
    """Where each request was served, in the words of the serving stack."""
    nodes = [NODE[replica.host] for replica in model.replicas]
    names = {"region": Names([node.region for node in nodes], replica)}
    if model.named_by == "pod":
        names["namespace"] = _one(model.namespace, len(replica))
        names["pod"] = Names([model.pod(version, number) for number in range(len(nodes))], replica)
    elif model.named_by == "gpu_uuid":
        uuids = [node.uuid(served.gpus[0]) for node, served in zip(nodes, model.replicas, strict=True)]
        names["gpu_uuid"] = Names(uuids, replica)
    elif model.named_by == "resource_id":
        names["resource_id"] = Names([node.resource_id for node in nodes], replica)
    elif model.name == "fraud-gbm":  # one of its machines runs an older agent
        last = len(nodes) - 1
        names["host"] = Names([node.host for node in nodes], np.where(replica == last, _NONE, replica))
        names["resource_id"] = Names([nodes[last].resource_id], np.where(replica == last, 0, _NONE))
    else:
        hosts = [node.host for node in nodes]
        if model.name == "qwen2.5-coder-32b":  # tried out under a desk
            replica = np.where(staging, len(hosts), replica)
            hosts.append(PLAYGROUND)
        names["host"] = Names(hosts, replica)
    return names


def pods_by_unit(plan: Plan, day: int) -> dict[tuple[str, int, str], list[tuple[str, str]]]:
    """(host, GPU, MIG instance): the (namespace, pod) that run on it that day."""
    found: dict[tuple[str, int, str], list[tuple[str, str]]] = {}
    for model in MODELS.values():
        version = model.version(plan, day)
        for number, replica in enumerate(model.replicas):
            for gpu, instance in replica.units:
                pod = (model.namespace, model.pod(version, number))
                found.setdefault((replica.host, gpu, instance), []).append(pod)
    return found


def text_column(texts: Sequence[str], index: Ints) -> pa.DictionaryArray:
    codes = pa.array(index.astype(np.int32), mask=index < 0)
    return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string()))


def _ids(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """`req_` and 16 hexadecimal digits each, as ASCII."""
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    raw = rng.integers(0, 256, (count, 8), dtype=np.uint8)
    ids = np.empty((count, 20), dtype=np.uint8)
    ids[:, :4] = np.frombuffer(b"req_", dtype=np.uint8)
    ids[:, 4::2], ids[:, 5::2] = digits[raw >> 4], digits[raw & 15]
    return ids


def _table(parts: list[Rows], rng: np.random.Generator, broken: int) -> pa.Table:
    """All features' requests by time, then one in a thousand again, then `broken` rows that name no model."""
    time = np.concatenate([rows.time for rows in parts])
    order = np.argsort(time, kind="stable")
    again = order[rng.integers(0, len(order), len(order) // 1000)] if len(order) else order
    ids = _ids(rng, len(time) + broken)
    taken = np.concatenate([order, again, order[:broken]])
    numbered = np.concatenate([order, again, len(time) + np.arange(len(order[:broken]))])
    columns: dict[str, Any] = {"request_id": _fixed_text(ids[numbered]), "timestamp": _times(time[taken])}
    for name in _NAMES:
        texts: dict[str, int] = {}
        index = np.concatenate([_recoded(rows.names.get(name), len(rows), texts) for rows in parts])[taken]
        if name == "model" and broken:
            index[-broken:] = _NONE
        columns[name] = text_column(list(texts), index)
    for name in _NUMBERS:
        number = np.concatenate([rows.numbers.get(name, np.full(len(rows), _NONE)) for rows in parts])[taken]
        columns[name] = pa.array(number, mask=number < 0)
    gpu_ms = np.concatenate(
        [np.full(len(rows), np.nan) if rows.gpu_ms is None else rows.gpu_ms for rows in parts]
    )
    columns["gpu_ms"] = pa.array(gpu_ms[taken], mask=np.isnan(gpu_ms[taken]))
    cached = np.concatenate(
        [np.full(len(rows), _NONE) if rows.cached is None else rows.cached.astype(np.int64) for rows in parts]
    )[taken]
    columns["cached"] = pa.array(cached == 1, mask=cached < 0)
    return pa.table(columns)


def _recoded(names: Names | None, count: int, texts: dict[str, int]) -> Ints:
    """A part's codes in those of the whole column, which `texts` numbers as they turn up."""
    if names is None:
        return np.full(count, _NONE)
    codes = [texts.setdefault(text, len(texts)) if text else _NONE for text in names.texts]
    return np.array([*codes, _NONE])[names.index]


def _fixed_text(ascii_rows: NDArray[np.uint8]) -> pa.StringArray:
    rows, width = ascii_rows.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(
        rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(ascii_rows))
    )


def _times(values: Ints) -> pa.Array:
    return pa.array(values).cast(pa.timestamp("us", tz="UTC"))
