"""What the tests of ingest share: files to deliver, and what then is in the warehouse."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from finops.core import warehouse
from finops.core.datasets import NAMED_REQUESTS

SHARED = Path(__file__).resolve().parents[3] / "shared"
FOCUS = (
    "BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,"
    "BilledCost,EffectiveCost,ProviderName,ResourceId,Tags"
)


def shared(*parts: str) -> Path:
    """A real file beside the project; the test is skipped where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the real file {'/'.join(parts)} beside the project")
    return path


def charge(
    cost: str, *, billed: str | None = None, day: int = 7, resource: str = "i-1", tags: str = ""
) -> str:
    """A line of a FOCUS file in September 2026."""
    return (
        f"1001,USD,2026-09-01T00:00:00Z,2026-10-01T00:00:00Z,2026-09-{day:02}T00:00:00Z,2026-09-{day:02}T01:00:00Z,"
        f"{cost if billed is None else billed},{cost},AWS,{resource},{tags}"
    )


def bill(path: Path, *lines: str, header: str = FOCUS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def request(number: int = 1, **fields: object) -> dict[str, object]:
    """A request of 7 September 2026 with no more than it must have."""
    return {"request_id": f"r{number}", "timestamp": "2026-09-07T10:00:00Z", "model": "chat", **fields}


def log(path: Path, *requests: dict[str, object] | str) -> Path:
    """JSON lines; a text is a line as it stands."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in requests]
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(dataset: str, columns: str, order: str | None = None, snapshot: int | None = None) -> list[tuple]:
    """What is in force, as tuples; times as text. Requests come with the names that their numbers stand for."""
    con = warehouse.connect()
    named = dataset == "requests"
    for one in (dataset, "key_names", "place_names") if named else (dataset,):
        warehouse.open_view(con, one, snapshot)
    table = NAMED_REQUESTS if named else dataset
    return con.execute(f"select {columns} from {table} order by {order or columns}").fetchall()


def costs(snapshot: int | None = None) -> list[Decimal]:
    return [cost for (cost,) in rows("charges", "effective_cost", "file, line", snapshot)]
