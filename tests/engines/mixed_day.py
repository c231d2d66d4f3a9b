"""Two days on which requests are weighed by everything that they can be, and one sum is beyond 64 bits."""

import csv
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START, END = "2026-09-01", "2026-09-03"
_FIRST = datetime(2026, 9, 1, tzinfo=UTC)
_GPUS = {f"GPU-{n}": f"node-{n // 4}" for n in range(8)}
_MODELS = {  # how it is served: on how many GPUs, and whether the server measures gpu_ms
    "measured": (1, True),
    "wide": (3, True),
    "batched": (2, False),
    "alone": (1, False),
    "sparse": (2, None),  # some are measured
}

POLICY = """\
[tokens]
output = 3.7

[tokens.models.batched]
input = 0.25
weight_read = 1.5

[[rules]]
name = "hosted"
when = { ProviderName = "OpenModels" }
then = { api = "OpenModels" }

[prices."OpenModels/hosted"]
input = 2.5
cached_input = 0.3
output = 10
"""


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    chance = random.Random(7)
    _table(folder / "hosts.csv", [{"host": f"node-{n}", "resource_id": f"i-{n}"} for n in range(2)])
    _table(
        folder / "owners.csv", [{"kind": "model", "name": name, "team": f"team-{name}"} for name in _MODELS]
    )
    _table(folder / "billing.csv", list(_charges()))
    (folder / "policy.toml").write_text(POLICY)
    (folder / "gpu.json").write_text(json.dumps(_metrics(chance)))
    for number in (1, 2):  # two deliveries, so two files a day
        lines = [json.dumps(request) for request in _requests(chance, number)]
        (folder / f"requests-{number}.jsonl").write_text("\n".join(lines))


def _table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _charges() -> Iterator[dict[str, str]]:
    for day in range(2):
        start = _FIRST + timedelta(days=day)
        for resource, provider, cost in (
            ("i-0", "AWS", "96.123456789"),
            ("i-1", "AWS", "97"),
            ("", "OpenModels", "3.1"),
        ):
            yield {
                "ProviderName": provider,
                "BillingAccountId": "1",
                "BillingCurrency": "USD",
                "BillingPeriodStart": "2026-09-01T00:00:00Z",
                "BillingPeriodEnd": "2026-10-01T00:00:00Z",
                "ChargePeriodStart": f"{start:%Y-%m-%dT%H:%M:%SZ}",
                "ChargePeriodEnd": f"{start + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
                "ChargeCategory": "Usage",
                "ServiceCategory": "AI and Machine Learning" if provider == "OpenModels" else "Compute",
                "ServiceName": "Inference API" if provider == "OpenModels" else "AmazonEC2",
                "ResourceId": resource,
                "BilledCost": cost,
                "EffectiveCost": cost,
                "Tags": "{}",
            }


def _metrics(chance: random.Random) -> dict[str, Any]:
    times = [int(_FIRST.timestamp()) + 1800 * n for n in range(96)]
    series = [
        {
            "metric": {
                "__name__": "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
                "UUID": uuid,
                "Hostname": host,
                "modelName": "NVIDIA H100 80GB HBM3",
            },
            "values": [[at, f"{chance.random():.4f}"] for at in times],
        }
        for uuid, host in _GPUS.items()
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": series}}


def _requests(chance: random.Random, delivery: int) -> Iterator[dict[str, Any]]:
    for n in range(1_500):
        model = chance.choice([*_MODELS, "hosted"])
        ttft, latency = chance.randrange(5, 400), chance.randrange(300, 2_000_000)
        output = chance.randrange(1, 3_000)
        request: dict[str, Any] = {
            "request_id": f"r-{delivery}-{n}",
            "timestamp": (_FIRST + timedelta(seconds=chance.randrange(80_000), microseconds=n)).isoformat(),
            "model": model,
            "tenant": f"tenant-{chance.randrange(4)}",
            "feature": chance.choice(["chat", "search", ""]),
            "status": chance.choice(["200", "200", "200", "500"]),
            "cached": chance.random() < 0.05,
            "latency_ms": latency,
            "ttft_ms": ttft,
            "input_tokens": chance.randrange(10, 9_000),
            "output_tokens": output,
            "predictions": chance.randrange(3),
        }
        request["cached_input_tokens"] = request["input_tokens"] // chance.randrange(1, 9)
        if chance.random() < 0.5:
            request["value"] = f"{chance.randrange(-(10**9), 10**12)}.{chance.randrange(10**12):012d}"
        if model == "hosted":
            request["provider"] = "OpenModels"
        else:
            many, measured = _MODELS[model]
            first = chance.randrange(6)
            request["gpu_uuid"] = [f"GPU-{first + one}" for one in range(many)]
            if measured or (measured is None and chance.random() < 0.5):
                request["gpu_ms"] = f"{latency * 0.7:.6f}"
            if model == "measured" and chance.random() < 0.02:
                del request["input_tokens"], request["cached_input_tokens"]
        yield request
    # A day later: each is as large as a log may say, and together they are beyond 64 bits.
    for n in range(2):
        yield {
            "request_id": f"large-{delivery}-{n}",
            "timestamp": "2026-09-02T10:30:00Z",
            "model": "measured",
            "gpu_uuid": ["GPU-0", "GPU-1"],
            "gpu_ms": "8000000000000.000001",
            "status": "200",
        }
