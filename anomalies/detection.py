"""Is a value what its own past led to expect? Series in, findings out; pure.

Two questions, two ways. `judge` follows any series row by row, whatever its step, and says of each
row what was expected and within which bounds. `episodes` reads the days of one cost, and says when
a change began and how long it was one: a new level is one finding at its onset, not one every day.
Neither sees a later row: what they said of a day stays said as days are added.

Statistics are made in floats; the money of a finding is taken from the warehouse's decimals.
"""

import warnings
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

DAY, WEEK = 86_400, 7 * 86_400


# ---- any series, row by row ----

UNSEEN = 12  # rows before anything is said; they also tell the step
LEARNED = 30  # rows before the regression takes over from the plain baseline
RELEARN = 1.2  # learn again when the past has grown by this factor
MEMORY = 2_000  # rows to learn from
ONE_IN = 6e-4  # how often an ordinary row may fall outside, by the tail of the past errors
SPREADS = 4.0  # and never closer than this many robust standard deviations
AGAIN = 0.002  # an error as large as this share of the past ones, or as three of them, is no news


@dataclass(frozen=True)
class Verdicts:
    """One entry for each row; NaN (and no anomaly) where too few rows came before it.

    `score` is the distance from the expectation in half-widths of the bounds: above 1 is an anomaly.
    """

    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    is_anomaly: Flags


def judge(times: Ints, values: Floats) -> Verdicts:
    """Compare each row with what the rows before it lead to expect.

    `times` in seconds, ascending; a value that is no number is passed over. What is expected is a
    robust regression (Huber's, so that past anomalies teach little) on the recent level and
    on the same time of earlier days and weeks. The bounds follow the errors made so far.
    """
    nothing = np.full(len(values), np.nan)
    verdicts = Verdicts(
        nothing, nothing.copy(), nothing.copy(), nothing.copy(), np.zeros(len(values), dtype=bool)
    )
    known = np.flatnonzero(np.isfinite(values))
    if len(known) <= UNSEEN:
        return verdicts
    seen, when = values[known], times[known]
    clues = _clues(when, seen)
    expected = _expectations(seen, clues)
    error = np.abs(seen - expected)
    reach = _reach(seen, error, rows_a_day=DAY / _step(when))
    verdicts.expected[known] = expected
    verdicts.lower[known] = expected - reach
    verdicts.upper[known] = expected + reach
    with np.errstate(invalid="ignore", divide="ignore"):
        score = np.where(error > 0, error / reach, np.where(np.isnan(reach), np.nan, 0.0))
    verdicts.score[known] = score
    verdicts.is_anomaly[known] = score > 1
    return verdicts


def _step(times: Ints) -> int:
    """Seconds from row to row, by the first rows alone: later ones must not change it."""
    return max(1, int(np.median(np.diff(times[: UNSEEN + 1]))))


def _clues(times: Ints, values: Floats) -> Floats:
    """What was known before each row: a column for each way to guess it; the third is the plainest."""
    step = _step(times)
    y = pd.Series(_without_spikes(values))
    before = y.shift(1)
    columns = [
        before,
        before.rolling(12, min_periods=1).median(),
        before.rolling(3, min_periods=1).median(),
    ]
    if DAY / step >= 4:
        slots = round(DAY / step)
        columns.append(before.rolling(slots, min_periods=min(12, slots)).median())
        columns += _same_time(y, _slot(times, DAY, step), 7)
    if WEEK / step >= 4:
        columns += _same_time(y, _slot(times, WEEK, step), 4)
    clues = np.column_stack([column.to_numpy(dtype=float) for column in columns])
    return np.where(np.isnan(clues), clues[:, 2:3], clues)


def _slot(times: Ints, span: int, step: int) -> Ints:
    return (np.round((times % span) / step) % round(span / step)).astype(np.int64)


def _same_time(y: pd.Series, slot: Ints, back: int) -> list[pd.Series]:
    """The median of the same time of earlier days or weeks, plain and moved to the level of now."""
    same = pd.Series(_medians_of_earlier(y.to_numpy(dtype=float), slot, back))
    moved = (y - same).shift(1).rolling(6, min_periods=1).median().fillna(0.0)
    return [same, same + moved]


def _medians_of_earlier(values: Floats, slot: Ints, back: int) -> Floats:
    """The median of the last `back` values of each row's own slot, itself left out; NaN for the first of a slot."""
    order = np.argsort(slot, kind="stable")
    ordered = slot[order]
    earlier = np.full((len(values), back), np.nan)
    for turn in range(1, back + 1):
        alike = np.flatnonzero(ordered[turn:] == ordered[:-turn])
        earlier[order[turn:][alike], turn - 1] = values[order[:-turn][alike]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row of NaN has the median NaN
        return np.asarray(np.nanmedian(earlier, axis=1))


def _without_spikes(values: Floats) -> Floats:
    """Each value, cut to three times the usual distance from the median of the twelve before it."""
    y = pd.Series(values)
    middle = y.shift(1).rolling(12, min_periods=3).median()
    usual = (y - middle).abs().shift(1).rolling(500, min_periods=8).quantile(0.95)
    cut = y.clip(middle - 3 * usual, middle + 3 * usual)
    return np.asarray(cut.where(usual > 0, y), dtype=np.float64)


def _expectations(values: Floats, clues: Floats) -> Floats:
    expected = clues[:, -1].copy()
    expected[:UNSEEN] = np.nan
    first = LEARNED
    while first < len(values):
        end = min(len(values), int(first * RELEARN) + 1)
        past = slice(max(3, first - MEMORY), first)
        expected[first:end] = _regressed(clues[past], values[past], clues[first:end])
        first = end
    return expected


def _regressed(clues: Floats, values: Floats, asked: Floats) -> Floats:
    from sklearn.linear_model import HuberRegressor  # seconds to import: only where it is used

    middle = float(np.median(values))
    spread = float(np.percentile(np.abs(values - middle), 90)) or float(np.std(values))
    if spread == 0:
        return np.full(len(asked), middle)
    with warnings.catch_warnings(), _linear_algebra().limit(limits=1):
        warnings.simplefilter("ignore")  # a fit that stops early is good enough
        try:
            model = HuberRegressor(alpha=1.0, max_iter=50, tol=1e-3)
            model.fit((clues - middle) / spread, (values - middle) / spread)
        except ValueError:  # no convergence at all
            return asked[:, 2]
    found = np.full(len(asked), model.intercept_ * spread + middle)
    # Not by BLAS: the last digit of its products depends on how many rows are asked.
    for column, weight in enumerate(model.coef_):
        found += weight * (asked[:, column] - middle)
    return found


@cache
def _linear_algebra() -> ThreadpoolController:
    """The thread pools under the regression: for tables as small as these, more threads only wait for each other."""
    return ThreadpoolController()


def _reach(values: Floats, error: Floats, rows_a_day: float) -> Floats:
    """How far from its expectation a row may lie, by the errors before it.

    NaN while there are few, and on the first day and a quarter (300 rows at most): its hours are all new.
    """
    errors = pd.Series(error)
    spread = errors.shift(1).rolling(max(200, round(7 * rows_a_day)), min_periods=10).quantile(0.95) / 1.96
    size = pd.Series(np.abs(values)).shift(1).expanding(10).median()
    usual = np.maximum(np.asarray(spread, dtype=np.float64), np.asarray(1e-3 * size + 1e-9, dtype=np.float64))
    with np.errstate(invalid="ignore"):
        scaled = error / usual
    reach = np.full(len(error), np.nan)
    first = max(UNSEEN + 16, min(300, int(1.25 * rows_a_day)))
    while first < len(error):
        end = min(len(error), max(first + 1, int(first * 1.03)))
        past = np.isfinite(scaled[:first])
        if past.any():
            far = max(SPREADS, _tail(scaled[:first][past]))
            seen = np.sort(error[:first][np.isfinite(error[:first])])
            familiar = seen[-max(3, int(AGAIN * len(seen)))]
            reach[first:end] = np.maximum(far * usual[first:end], 1.25 * familiar)
        first = end
    return reach


def _tail(scaled: Floats) -> float:
    """What one in 1/ONE_IN of the errors exceeds, if the largest twentieth go on as they began (Hill)."""
    if len(scaled) < 200:
        return 0.0
    start = max(float(np.quantile(scaled, 0.95)), 1e-9)
    beyond = scaled[scaled > start]
    heaviness = float(np.log(beyond / start).mean()) if len(beyond) else 0.0
    return start * float((0.05 / ONE_IN) ** min(heaviness, 0.6))


# ---- the days of a cost ----


@dataclass(frozen=True)
class Rules:
    """When a day's cost is worth a word. Distances are from the expectation."""

    learned: int = 14  # ordinary days before an expectation: every weekday twice
    needed: int = 21  # ordinary days before anything is said: a week of expectations tried
    spreads: float = 5.0  # robust standard deviations
    share: float = 0.12  # of the expectation
    settled: int = 14  # days after which a new level is the normal one
    calm: int = 2  # ordinary days that end an episode


@dataclass
class Episode:
    """Days on which a series was not itself: positions in it, with what was expected there."""

    onset: int
    sign: int
    days: list[int] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    reach: list[float] = field(default_factory=list)
    settled: bool = False

    @property
    def last(self) -> int:
        return self.days[-1]


def episodes(
    values: Floats,
    weekdays: Ints,
    least: Floats | float,
    doubt: Floats | float = 0.0,
    rules: Rules | None = None,
) -> list[Episode]:
    """When a daily series left its expectation, and for how long.

    One value for each day, NaN where there is none; `least`: the smallest distance that matters, in the
    series' own unit; `doubt`: the smallest spread to reckon with, as a share of what is expected. That
    is the median of the last ordinary week, times what the weekday usually is of its week. It is
    frozen while an episode lasts, so that a change is measured against the time before it,
    until the new level has lasted so long that it is the normal one.
    """
    rules = rules or Rules()
    floor = np.broadcast_to(np.asarray(least, dtype=float), values.shape)
    unsure = np.broadcast_to(np.asarray(doubt, dtype=float), values.shape)
    normal: list[int] = []
    errors: list[float] = []
    found: list[Episode] = []
    current: Episode | None = None
    calm = 0
    usual, learn = np.ones(7), True
    for day in np.flatnonzero(np.isfinite(values)).tolist():
        if len(normal) < rules.learned:
            normal.append(day)
            learn = True
            continue
        past = normal[-35:]
        if learn or len(normal) % 7 == 0:
            usual, learn = _weekdays(values[past], weekdays[past]), False
        expected, spread = _ordinary(values[past], usual[weekdays[past]], float(usual[weekdays[day]]))
        if errors:
            missed = float(np.quantile(np.abs(errors[-28:]), 0.8)) / 1.28
            spread = max(spread, missed * abs(expected))
        spread = max(spread, float(unsure[day]) * abs(expected))
        distance = float(values[day]) - expected
        if len(normal) < rules.needed:
            normal.append(day)
            if expected:
                errors.append(distance / expected)
            continue
        reach = max(rules.spreads * spread, rules.share * abs(expected), float(floor[day]))
        sign = 1 if distance > 0 else -1
        if abs(distance) > reach and (current is None or current.sign == sign):
            if current is None:
                current = Episode(day, sign)
                found.append(current)
            current.days.append(day)
            current.expected.append(expected)
            current.reach.append(reach)
            calm = 0
            if len(current.days) >= rules.settled:
                current.settled = True
                normal = list(current.days)
                errors = []
                current = None
                learn = True
            continue
        calm += 1
        if current is not None and calm >= rules.calm:
            current = None
        if abs(distance) <= reach:
            normal.append(day)
            if expected:
                errors.append(distance / expected)
    return found


def _weekdays(values: Floats, weekdays: Ints) -> Floats:
    """What each weekday is of its week, Monday first: the median over these days."""
    usual = np.ones(7)
    if np.median(values) <= 0:
        return usual
    for _ in range(2):
        flat = np.pad(values / usual[weekdays], 3, constant_values=np.nan)
        level = np.nanmedian(np.lib.stride_tricks.sliding_window_view(flat, 7), axis=1)
        for each in range(7):
            same = (weekdays == each) & (level > 0)
            if same.any():
                usual[each] = max(float(np.median(values[same] / level[same])), 0.01)
    return usual


def _ordinary(values: Floats, usual: Floats, today: float) -> tuple[float, float]:
    """What a day should be after these ordinary ones, and their robust standard deviation.

    `usual`: what their weekdays are of a week; `today`: what the day's own is.
    """
    flat = values / usual
    level = float(np.median(flat[-7:]))
    if np.median(flat) <= 0:  # now and then something
        return level * today, float(np.std(flat)) * today
    off = float(np.median(np.abs(flat[-14:] - np.median(flat[-14:]))))
    return level * today, 1.4826 * off * today
