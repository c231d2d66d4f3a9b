"""Slices of the cost and their days: what is judged, as exact figures and as statistics need them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
from duckdb import DuckDBPyConnection

from anomalies import causes
from anomalies.detection import Floats

METRICS = {
    "model": ("cost", "unit_cost", "idle"),
    "tenant": ("cost", "unit_cost"),
    "feature": ("cost", "unit_cost"),
    "resource": ("cost", "idle"),
}


@dataclass(frozen=True)
class Slice:
    """A model, a tenant or feature of a model, or a resource."""

    kind: str
    model: str = ""
    tenant: str = ""
    feature: str = ""
    resource: str = ""

    @property
    def columns(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("model", "tenant", "feature", "resource")}


@dataclass
class Days:
    """A slice's figures, one entry for each complete day: money exact, predictions counted."""

    cost: list[Decimal]
    usage: list[Decimal]
    idle: list[Decimal]
    predictions: list[int]
    requests: list[int]

    @classmethod
    def nothing(cls, count: int) -> "Days":
        return cls([Decimal(0)] * count, [Decimal(0)] * count, [Decimal(0)] * count, [0] * count, [0] * count)

    def values(self, metric: str) -> Floats:
        """The metric as statistics need it; NaN where it has no figure."""
        if metric != "unit_cost":
            return np.array([float(amount) for amount in getattr(self, metric)])
        return np.array(
            [float(c) / n if n else np.nan for c, n in zip(self.usage, self.predictions, strict=True)]
        )

    def weights(self, metric: str) -> Floats:
        """What turns a distance of the metric into money."""
        if metric == "unit_cost":
            return np.array(self.predictions, dtype=float)
        return np.ones(len(self.predictions))

    def money(self, metric: str, day: int) -> Decimal:
        amounts: list[Decimal] = self.usage if metric == "unit_cost" else getattr(self, metric)
        return amounts[day]


def days_by_slice(con: DuckDBPyConnection, snapshot: int, days: Sequence[date]) -> dict[Slice, Days]:
    causes.open_days(con, snapshot, days)
    place = {day: number for number, day in enumerate(days)}
    tables: dict[Slice, Days] = {}
    for kind, model, tenant, feature, resource, day, cost, usage, idle, predictions, requests in con.execute(
        causes.sql("slices"), {"start": days[0], "end": days[-1] + timedelta(days=1)}
    ).fetchall():
        if day not in place:
            continue
        where = Slice(kind, model, tenant, feature, resource)
        table = tables.setdefault(where, Days.nothing(len(days)))
        number = place[day]
        table.cost[number], table.usage[number], table.idle[number] = cost, usage, idle
        table.predictions[number], table.requests[number] = predictions, requests
    return dict(sorted(tables.items(), key=lambda one: str(one[0])))
