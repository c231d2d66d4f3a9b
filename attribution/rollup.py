"""The stage over raw requests: what each set of units and each key of a day can be weighed by, and what was served.

Here the data is big; what comes after it is small. Single requests are only ever gathered: by hour, key,
place and what they have to be weighed by. Memory does not grow with their number.
"""

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from django.conf import settings
from duckdb import DuckDBPyConnection

from attribution import numbers, steps
from attribution.engines import DuckDB, Engine, TooLarge, engine_of
from attribution.numbers import Survey
from attribution.policy import Policy
from finops.core.errors import FinopsError
from finops.core.periods import midnight

_log = logging.getLogger(__name__)
LOOK_BACK = timedelta(days=7)
UNITS = ("host", "device", "gpu_host", "device_pod")  # what `find_places` needs of `find_units`
TABLES = ("request_keys", "unit_sets", "request_weights", "request_hours", "unplaced")


class SameHash(FinopsError):
    """Two keys, or two places, of a day's requests have one number."""


def day_params(day: date, currency: str, policy: Policy) -> dict[str, object]:
    return {
        "day": day,
        "day_start": midnight(day),
        "day_end": midnight(day + timedelta(days=1)),
        "currency": currency,
        "idle_policy": policy.idle,
    }


def find_units(con: DuckDBPyConnection, day: date, params: steps.Parameters) -> None:
    """Whose samples are whose: hosts, devices and pods of the day.

    Reads hosts, named_resources and gpu_samples.
    """
    steps.run(con, "hosts", {**params, "known_since": day - LOOK_BACK})
    steps.run(con, "units", params)


def find_places(con: DuckDBPyConnection, day: date, params: steps.Parameters) -> None:
    """On which units a request ran, by its place and hour: the tables placed, placement and unit_sets.

    Reads the view place_names, and what `find_units` made.
    """
    for name in TABLES:
        con.execute(f"drop view if exists {name}")
    _require_different(con, day, "place_names", "place_hash")
    steps.run(con, "places", params)


def weigh(
    con: DuckDBPyConnection,
    day: date,
    policy: Policy,
    params: steps.Parameters,
    every: bool = False,
    files: Sequence[Path] = (),
) -> None:
    """Leave the day's request_keys, request_weights, request_hours and unplaced as tables; `unit_sets` are found.

    Reads the views requests, key_names and owners, and what `find_places` made. Sums of weights are NULL where no
    unit of the day can be weighed by them: they are dear, and to sweep a batch is dearest. `every`: make them all.
    `files`: those that the view requests is of, where it is of files; a cluster may look at them instead.
    """
    _require_different(con, day, "key_names", "key_hash")
    steps.run(con, "owner_now", params)
    engine = engine_of(con, files)
    survey = Survey.of(engine.ask("survey"))
    metered = numbers.give(con, day, policy, params, survey)
    try:
        _gather(con, engine, survey, every, metered)
    except TooLarge as error:
        _log.warning("%s is rolled up by DuckDB, not by %s: %s", day, settings.FINOPS_ENGINE, error)
        con.execute("drop table if exists swept")
        _gather(con, DuckDB(con), survey, every, metered)
    steps.run(con, "rollup", params)


def _require_different(con: DuckDBPyConnection, day: date, table: str, column: str) -> None:
    (same,) = con.execute(
        f"select count(*) > count(distinct {column}) "
        f"from (select distinct * exclude (source) from {table} where day = $day)",
        {"day": day},
    ).fetchall()[0]
    if same:
        raise SameHash(f"{day}: two different rows of {table} have the same {column}")


def _gather(con: DuckDBPyConnection, engine: Engine, survey: Survey, every: bool, metered: bool) -> None:
    """Everything that is asked of single requests: the table `gathered`."""
    swept = _swept(con, engine, survey, every)
    engine.gather(swept, survey, _measures(survey, every, metered))


def _measures(survey: Survey, every: bool, metered: bool) -> tuple[str, ...]:
    """What else than `gpu_ms`, and than how alone they decoded, requests may be weighed by.

    Nothing where all of them have one of the two, which are best; but a metered API goes by neither.
    """
    if metered:
        return ("list_price", "tokens", "latency_ms")
    return ("tokens", "latency_ms") if every or (survey.lacking and survey.not_batch_aware) else ()


def _swept(con: DuckDBPyConnection, engine: Engine, survey: Survey, every: bool) -> dict[int, int]:
    """The batches whose requests may be weighed by how alone they decoded, each with how many decode in it."""
    if not survey.timed or not (every or survey.lacking):
        return {}
    con.register("decoding", engine.ask("decoding"))
    steps.run(con, "swept", {"every": every})
    con.unregister("decoding")
    return dict(con.execute("select batch, requests from swept order by batch").fetchall())
