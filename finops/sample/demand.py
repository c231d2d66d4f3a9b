"""How much is asked of each feature, day by day and over the day. Requests and GPU metrics both follow it."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from finops.sample.organisation import FEATURES, LAUNCHED, MODELS
from finops.sample.stories import Plan

Floats = NDArray[np.float64]

SLOTS = 288  # of five minutes in a day
_WEEK = {  # Monday to Sunday
    "office": (1.22, 1.28, 1.27, 1.25, 1.14, 0.44, 0.40),
    "consumer": (0.98, 0.97, 0.98, 1.00, 1.05, 1.04, 0.98),
    "steady": (1.01, 1.00, 1.00, 1.01, 1.00, 0.99, 0.99),
}
_PEAKS = {  # hour, width in hours, height over a floor of 1
    "office": ((9.5, 2.2, 3.2), (14.5, 2.6, 3.8)),
    "consumer": ((12.0, 3.5, 0.9), (19.5, 3.0, 1.6)),
    "steady": ((13.0, 6.0, 0.25),),
}
_NOISE, _GROWTH = 0.012, 0.0005  # of a feature's day; per day


def _day_shape(rhythm: str) -> Floats:
    """Intensity in each slot of a day, 1 on average."""
    hour = (np.arange(SLOTS) + 0.5) / 12
    shape = np.ones(SLOTS)
    for peak, width, height in _PEAKS[rhythm]:
        distance = np.minimum(np.abs(hour - peak), 24 - np.abs(hour - peak))
        shape += height * np.exp(-0.5 * (distance / width) ** 2)
    return np.asarray(shape / shape.mean())


DAY_SHAPE = {rhythm: _day_shape(rhythm) for rhythm in _WEEK}
MOMENTS = {rhythm: np.concatenate([[0.0], np.cumsum(shape)]) / SLOTS for rhythm, shape in DAY_SHAPE.items()}


@dataclass(frozen=True)
class Demand:
    """`volume`: each feature's day against its usual day; `counts`: its requests that day."""

    plan: Plan
    seed: int
    requests: int

    @cached_property
    def volume(self) -> Floats:
        days = self.plan.days
        noise = np.random.default_rng([self.seed, 1]).standard_normal((len(FEATURES), len(days)))
        volume = np.exp(_NOISE * noise) * (1 + _GROWTH * np.arange(len(days)))
        for row, feature in enumerate(FEATURES):
            volume[row] *= [_WEEK[feature.rhythm][day.weekday()] for day in days]
            if feature.model == LAUNCHED:
                age = np.array([(day - self.plan.launch).days for day in days])
                volume[row] *= np.where(age < 0, 0.0, np.minimum(1.0, 0.6 + 0.1 * age))
        return np.asarray(volume)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        wanted = self.volume * np.array([[feature.share] for feature in FEATURES])
        running = np.cumsum(wanted) / wanted.sum() * self.requests
        rounded = np.array([round(b) - round(a) for a, b in pairwise([0.0, *running.tolist()])])
        return rounded.reshape(wanted.shape).astype(np.int64)

    def intensity(self, model: str, day: int) -> Floats:
        """What is asked of a model in each slot of a day, 1 in its usual one."""
        rows = [row for row, feature in enumerate(FEATURES) if feature.model == model]
        total = sum(FEATURES[row].share for row in rows)
        parts = [
            FEATURES[row].share / total * self.volume[row, day] * DAY_SHAPE[FEATURES[row].rhythm]
            for row in rows
        ]
        return np.asarray(np.sum(parts, axis=0))


def _usual_week(model: str) -> Floats:
    features = [feature for feature in FEATURES if feature.model == model]
    total = sum(feature.share for feature in features)
    return np.concatenate(
        [
            np.sum([f.share / total * _WEEK[f.rhythm][day] * DAY_SHAPE[f.rhythm] for f in features], axis=0)
            for day in range(7)
        ]
    )


def _load(model: str) -> float:
    """The k for which 1 - exp(-k * intensity), the chance that a server is at work, is on average `busy`."""
    week, low, high = _usual_week(model), 0.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        if (1 - np.exp(-middle * week)).mean() < MODELS[model].busy:
            low = middle
        else:
            high = middle
    return low


LOAD = {name: _load(name) for name, model in MODELS.items() if model.busy}


def busy(intensity: Floats, model: str) -> Floats:
    """The share of each slot in which the model's GPUs are at work."""
    return 1 - np.exp(-LOAD[model] * intensity)


def micros(day: date) -> int:
    """The day's midnight in microseconds since 1970."""
    return (day - date(1970, 1, 1)).days * 86_400_000_000
