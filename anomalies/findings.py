"""Findings: the episodes of each slice's metrics that are not normal, with their money."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from anomalies import detection
from anomalies.detection import Floats
from anomalies.slices import METRICS, Days, Slice

Progress = Callable[[int, int], None]

LEAST_SHARE = 0.0025  # of the organisation's usual day: a smaller change is not worth a word
LEAST = 1.0  # and never less than this, in the reporting currency
FEW = 10  # requests of a day below which a slice's cost is chance
VARIETY = 1.5  # spread of the cost of single requests, against their mean


@dataclass(frozen=True)
class Finding:
    """An episode of one metric of one slice."""

    where: Slice
    metric: str
    episode: detection.Episode
    onset: date
    money: dict[date, Decimal]  # actual - expected of each of its days

    @property
    def impact(self) -> Decimal:
        return sum(self.money.values(), Decimal(0))

    @property
    def launch(self) -> bool:
        return self.metric == "cost" and self.episode.expected[0] == 0


def findings(
    tables: Mapping[Slice, Days], days: Sequence[date], progress: Progress | None
) -> Iterator[Finding]:
    weekdays = np.array([day.weekday() for day in days], dtype=np.int64)
    least = _least(tables, len(days))
    for number, (where, table) in enumerate(tables.items(), 1):
        if progress:
            progress(number, len(tables))
        if float(max(table.cost)) < least.min():
            continue
        doubt, silent = _doubt(where, table)
        for metric in METRICS[where.kind]:
            values, weights = table.values(metric), table.weights(metric)
            with np.errstate(divide="ignore"):
                floor = np.where((weights > 0) & ~silent, least / weights, np.inf)
            for episode in detection.episodes(values, weekdays, floor, doubt):
                yield Finding(
                    where,
                    metric,
                    episode,
                    days[episode.onset],
                    {
                        days[day]: table.money(metric, day) - _decimal(expected * weights[day])
                        for day, expected in zip(episode.days, episode.expected, strict=True)
                    },
                )


def _doubt(where: Slice, table: Days) -> tuple[Floats, detection.Flags]:
    """How uncertain each day is for resting on few requests, as a share; and which days say nothing at all."""
    requests = np.array(table.requests, dtype=float)
    if where.kind == "resource":
        return np.zeros(len(requests)), np.zeros(len(requests), dtype=bool)
    usual = np.array(
        [np.median(requests[max(0, day - 28) : day] if day else requests[:1]) for day in range(len(requests))]
    )
    return VARIETY / np.sqrt(np.maximum(usual, 1.0)), np.maximum(usual, requests) < FEW


def _least(tables: Mapping[Slice, Days], count: int) -> Floats:
    """The smallest change of each day that matters: a share of what a day usually cost until then."""
    total = np.sum([table.values("cost") for where, table in tables.items() if where.kind == "model"], axis=0)
    usual = [float(np.median(total[: day + 1])) for day in range(count)] if np.ndim(total) else [0.0] * count
    return np.maximum(LEAST_SHARE * np.array(usual), LEAST)


def _decimal(number: float) -> Decimal:
    return Decimal(f"{number:.6f}")
