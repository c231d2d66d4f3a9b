"""One day's GPU metrics as DCGM exports them: a sample of each unit every five minutes."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from finops.sample.demand import SLOTS, Demand, Floats, busy, micros
from finops.sample.organisation import GPUS, MIG, MIG_HOST, MODELS, NODES, PLAYGROUND, Node
from finops.sample.stories import Plan
from finops.sample.traffic import pods_by_unit, text_column

RATIO, PERCENT = "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL"
_LABELS = (
    "UUID", "gpu", "device", "modelName", "Hostname", "node", "GPU_I_ID", "GPU_I_PROFILE",
    "namespace", "pod", "exported_namespace", "exported_pod",
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """One time series: its labels, and a value in each slot (NaN: none was scraped)."""

    metric: str
    labels: dict[str, str]
    values: Floats


def day_of_series(demand: Demand, day: int) -> list[Series]:
    """What was scraped on day number `day`."""
    plan = demand.plan
    pods = pods_by_unit(plan, day)
    intensity = {model: demand.intensity(model, day) for model in MODELS if MODELS[model].busy}
    model_of = _models_by_unit()
    found = list[Series]()
    for number, node in enumerate(NODES):
        if not node.gpus or not is_on(node, plan, day):
            continue
        rng = np.random.default_rng([demand.seed, 5, plan.days[day].toordinal(), number])
        missed = _gaps(node, plan, day, rng)
        for gpu, instance, profile in _units(node):
            model = model_of.get((node.host, gpu, instance), "")
            if model:
                share = busy(intensity[model], model) + 0.05 * rng.standard_normal(SLOTS)
            else:
                share = np.zeros(SLOTS) if node.story else 0.03 + 0.04 * rng.standard_normal(SLOTS)
            share = np.where(missed, np.nan, share.clip(0.0, 1.0))
            placed = pods.get((node.host, gpu, instance), [])
            for namespace, pod in placed if node.labels != "host" and placed else [("", "")]:
                labels = _unit_labels(node, gpu, instance, profile) | _pod_labels(node, namespace, pod)
                if node.metric != "percent":
                    found.append(Series(RATIO, labels, np.round(share, 6)))
                if node.metric != "ratio":
                    found.append(Series(PERCENT, labels, np.round(share * 100)))
    return found


def is_on(node: Node, plan: Plan, day: int) -> bool:
    """Machines of a story appear with it."""
    since = {"idle": plan.left_running, "launch": plan.launch}.get(node.story, plan.start)
    return plan.days[day] >= since


def samples_table(series: list[Series], plan: Plan, day: int) -> pa.Table:
    """A row per sample, a column per label; gaps have no row."""
    values = np.concatenate([one.values for one in series])
    known = ~np.isnan(values)
    which = np.repeat(np.arange(len(series)), SLOTS)[known]
    moments = np.tile(_moments(plan, day), len(series))[known]
    columns: dict[str, pa.Array] = {
        "timestamp": pa.array(moments * 1_000_000).cast(pa.timestamp("us", tz="UTC")),
        "metric": _labelled([one.metric for one in series], which),
        "value": pa.array(values[known]),
    }
    for label in _LABELS:
        columns[label] = _labelled([one.labels.get(label, "") for one in series], which)
    return pa.table(columns)


def query_range(series: list[Series], plan: Plan, day: int) -> str:
    """The same as Prometheus' `query_range` answers: values are text, a failed reading is `NaN`."""
    moments = _moments(plan, day).tolist()
    result = list[dict[str, Any]]()
    for one in series:
        texts = [None if np.isnan(value) else f"{value:g}" for value in one.values.tolist()]
        pairs = [[moment, text] for moment, text in zip(moments, texts, strict=True) if text is not None]
        result.append({"metric": {"__name__": one.metric, **one.labels}, "values": pairs})
    result[0]["values"].append([moments[-1] + 299, "NaN"])
    answer = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    return json.dumps(answer, separators=(",", ":"))


def _moments(plan: Plan, day: int) -> np.ndarray:
    return micros(plan.days[day]) // 1_000_000 + np.arange(SLOTS) * 300


def _labelled(texts: list[str], which: np.ndarray) -> pa.DictionaryArray:
    distinct = sorted({text for text in texts if text})
    codes = np.array([distinct.index(text) if text else -1 for text in texts])
    return text_column(distinct, codes[which])


def _models_by_unit() -> dict[tuple[str, int, str], str]:
    return {
        (replica.host, gpu, instance): model.name
        for model in MODELS.values()
        for replica in model.replicas
        for gpu, instance in replica.units
    }


def _units(node: Node) -> list[tuple[int, str, str]]:
    return list(MIG) if node.host == MIG_HOST else [(gpu, "", "") for gpu in range(node.gpus)]


def _unit_labels(node: Node, gpu: int, instance: str, profile: str) -> dict[str, str]:
    labels = {
        "UUID": node.uuid(gpu),
        "gpu": str(gpu),
        "device": f"nvidia{gpu}",
        "modelName": GPUS[node.gpu].dcgm_name,
        "Hostname": node.host,
    }
    if instance:
        labels |= {"GPU_I_ID": instance, "GPU_I_PROFILE": profile}
    if node.labels == "node":  # the exporter reports its own pod's name as host
        labels |= {"Hostname": "nvidia-dcgm-exporter-8kq2z", "node": node.host}
    return labels


def _pod_labels(node: Node, namespace: str, pod: str) -> dict[str, str]:
    if node.labels == "exported":
        own = {"namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-4w7tn"}
        return own | {"exported_namespace": namespace, "exported_pod": pod}
    return {"namespace": namespace, "pod": pod} if pod else {}


def _gaps(node: Node, plan: Plan, day: int, rng: np.random.Generator) -> np.ndarray:
    """The slots in which a machine was not scraped: now and then some, once a whole hour."""
    missed = np.zeros(SLOTS, dtype=bool)
    if rng.random() < 0.15 and node.host != PLAYGROUND:
        first = int(rng.integers(0, SLOTS))
        missed[first : first + int(rng.integers(1, 10))] = True
    if node.gpu == "T4" and plan.days[day] == plan.upgrade:
        missed[24:36] = True
    return missed
