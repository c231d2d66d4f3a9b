import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anomalies import detection

NAB = Path(__file__).resolve().parents[3] / "shared/data/anomalies/nab"
WEEK = np.array([1.1, 1.1, 1.1, 1.1, 1.0, 0.6, 0.55])
MONDAY = 1_767_571_200  # 2026-01-05


def days(count, seed=1, noise=0.03, step=86_400):
    """A daily cost with a working week, some growth and some noise; times beside it."""
    index = np.arange(count)
    swing = np.exp(noise * np.random.default_rng(seed).standard_normal(count))
    return MONDAY + index * step, 100 * WEEK[index % 7] * swing * (1 + 0.002 * index)


def found(values, least=0.0):
    return detection.episodes(values, np.arange(len(values)) % 7, least)


@pytest.mark.parametrize("step", [300, 3_600, 86_400])
def test_rows_added_later_change_nothing_that_was_said(step):
    times, values = days(400, noise=0.2, step=step)
    values[250] *= 3
    whole = detection.judge(times, values)
    for count in (13, 29, 31, 200, 251, 399):
        part = detection.judge(times[:count], values[:count])
        for name in ("expected", "lower", "upper", "score", "is_anomaly"):
            assert np.array_equal(
                getattr(part, name), getattr(whole, name)[:count], equal_nan=name != "is_anomaly"
            )


def test_episodes_are_told_the_same_as_days_are_added():
    _, values = days(80)
    values[45:] *= 1.6
    onsets = {
        count: [(one.onset, one.sign) for one in found(values[:count])] for count in range(46, len(values))
    }
    assert set(map(tuple, onsets.values())) == {((45, 1),)}


def test_a_short_series_is_not_judged():
    times, values = days(12)
    verdicts = detection.judge(times, values)
    assert np.isnan(verdicts.expected).all()
    assert not verdicts.is_anomaly.any()


def test_a_constant_series_has_no_anomaly_until_it_moves():
    times = MONDAY + 300 * np.arange(500)
    values = np.full(500, 7.0)
    assert not detection.judge(times, values).is_anomaly.any()
    values[400] = 9.0
    assert np.flatnonzero(detection.judge(times, values).is_anomaly).tolist() == [400]


def test_gaps_and_values_that_are_no_numbers_are_passed_over():
    times, values = days(90)
    keep = np.r_[0:40, 47:90]
    times, values = times[keep], values[keep].copy()
    values[20] = np.nan
    values[70] *= 2
    verdicts = detection.judge(times, values)
    assert np.flatnonzero(verdicts.is_anomaly).tolist() == [70]
    assert np.isnan(verdicts.expected[20])


def test_a_day_half_as_dear_again_is_found_and_its_neighbours_are_not():
    hits = extra = 0
    for seed in range(20):
        times, values = days(90, seed)
        values[60] *= 1.5
        flagged = np.flatnonzero(detection.judge(times, values).is_anomaly).tolist()
        hits += 60 in flagged
        extra += len([day for day in flagged if day != 60])
    assert hits >= 19
    assert extra <= 4


def test_a_new_level_is_one_episode_at_its_onset_and_then_normal():
    _, values = days(90)
    values[40:] *= 1.5
    (episode,) = found(values)
    assert (episode.onset, episode.sign, episode.settled) == (40, 1, True)
    assert len(episode.days) == detection.Rules().settled
    assert episode.expected[0] == pytest.approx(values[40] / 1.5, rel=0.1)


def test_a_weekend_is_no_drop_and_a_dear_sunday_is_a_rise():
    _, values = days(90)
    assert found(values) == []
    values[55] = 100 * WEEK[0]  # a Sunday like a Monday
    assert [(one.onset, one.sign, one.days) for one in found(values)] == [(55, 1, [55])]


def test_something_new_is_a_rise_from_nothing():
    values = np.r_[np.zeros(40), np.full(20, 50.0)]
    assert [(one.onset, one.sign) for one in found(values, least=10.0)] == [(40, 1)]
    assert found(values, least=60.0) == []


def test_quiet_series_stay_quiet():
    false = sum(len(found(days(90, seed, noise=0.06)[1])) for seed in range(40))
    assert false <= 2


@pytest.mark.skipif(not NAB.exists(), reason="../shared/data/anomalies is not here")
def test_real_labelled_series_are_judged_sensibly():
    """A floor under recall and precision on 19 series of the Numenta benchmark, 110,000 rows."""
    windows = json.loads((NAB / "labels/combined_windows.json").read_text())
    hits = labelled = false = 0
    for name, spans in windows.items():
        rows = pd.read_csv(NAB / "data" / name, parse_dates=["timestamp"])
        times = rows["timestamp"].to_numpy().astype("datetime64[s]").astype(np.int64)
        flagged = detection.judge(times, rows["value"].to_numpy(dtype=float)).is_anomaly
        inside = np.zeros(len(rows), dtype=bool)
        for start, end in spans:
            window = ((rows["timestamp"] >= start) & (rows["timestamp"] <= end)).to_numpy()
            inside |= window
            hits += bool((flagged & window).any())
        labelled += len(spans)
        outside = np.flatnonzero(flagged & ~inside)
        false += int((np.diff(outside) > max(12, len(rows) // 100)).sum()) + (len(outside) > 0)
    assert labelled == 38
    assert hits >= 22
    assert false <= 35
