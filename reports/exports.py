"""Tables out of the warehouse into files: what other programs read."""

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from duckdb import DuckDBPyConnection

from finops.core import focus, warehouse
from finops.core.errors import UsageError
from reports import queries
from reports.queries import sql
from reports.selection import Selection

Format = Literal["csv", "parquet", "json", "focus"]
_COUNTS = (
    "requests",
    "failed_requests",
    "cached_requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "gpu_seconds",
)


def write_allocations(selection: Selection, target: Path, kind: Format = "csv") -> int:
    """Write `export allocations` to a file; the number of its rows."""
    with closing(warehouse.connect()) as con:
        queries.load_allocations(con, selection)
        if kind == "focus":
            return _copy(con, _focus_allocations(selection), target, "csv")
        return _copy(con, allocation_rows(selection), target, kind)


def allocation_rows(selection: Selection) -> str:
    """The query that reads `allocated` in the columns and the order of `export allocations`."""
    keys = "".join(f"{key}, " for key in selection.by)
    return (
        f"select period, {keys}cost_type, reason, cost, '{settings.FINOPS_CURRENCY}' as currency, "
        f"{', '.join(_COUNTS)} from allocated order by period, {keys}cost_type, reason"
    )


def write_excluded(selection: Selection, target: Path, kind: Format = "csv") -> int:
    """Write the excluded charges of the days, each with its rule; the number of rows."""
    if kind == "focus":
        raise UsageError(
            "excluded charges are written as csv, parquet or json; export charges has FOCUS columns"
        )
    with closing(warehouse.connect()) as con:
        warehouse.open_view(con, "charge_days", touching=(selection.start, selection.end))
        parameters: dict[str, Any] = {
            "start": selection.start,
            "end": selection.end,
            "currency": settings.FINOPS_CURRENCY,
        }
        if selection.billing_period:
            parameters["billing_period"] = selection.billing_period
        query = sql("excluded").format(
            period=queries.PERIOD_OF_DAY["month" if selection.grain == "month" else "day"],
            billing_period="and billing_period = $billing_period" if selection.billing_period else "",
        )
        return _copy(con, query, target, kind, parameters)


def write_charges(start: date, end: date, source: str, target: Path, kind: Format = "csv") -> int:
    """Write the normalised bill, charges that start in [start, end); the number of rows."""
    snapshot = warehouse.latest()
    with closing(warehouse.connect()) as con:
        warehouse.open_view(con, "charges", snapshot, touching=(start, end))
        warehouse.open_view(con, "charge_days", snapshot, touching=(start, date.max))
        columns = ", ".join(f'{_focus_text(name)} as "{column}"' for column, name in focus.SNAKE.items())
        parameters: dict[str, Any] = {
            "start": datetime(start.year, start.month, start.day, tzinfo=UTC),
            "end": datetime(end.year, end.month, end.day, tzinfo=UTC),
        }
        if source:
            parameters["source"] = source
        query = sql("charges").format(
            columns=columns, source="and charges.source = $source" if source else ""
        )
        return _copy(con, query, target, kind, parameters)


def _focus_text(name: str) -> str:
    column = f"charges.{name}"
    return f"strftime({column}, '%Y-%m-%dT%H:%M:%SZ')" if name in _TIMES else column


_TIMES = {focus.SNAKE[column] for column in focus.TIMES}


def _focus_allocations(selection: Selection) -> str:
    """Allocations in FOCUS's words: what FOCUS has no column for is `x_…`, keys are tags as well."""
    step = {"hour": "interval 1 hour", "day": "interval 1 day", "month": "interval 1 month"}[selection.grain]
    start = {
        "hour": "strptime(period, '%Y-%m-%dT%H:%M:%SZ')",
        "day": "strptime(period, '%Y-%m-%d')",
        "month": "strptime(period, '%Y-%m')",
    }[selection.grain]
    tags = ", ".join(f"'{key}', {key}" for key in selection.by)
    keys = "".join(f'{key} as "x_{focus_word(key)}", ' for key in selection.by)
    counts = ", ".join(f'{name} as "x_{focus_word(name)}"' for name in _COUNTS)
    order = ", ".join(("period", *selection.by, "cost_type", "reason"))
    stamp = "'%Y-%m-%dT%H:%M:%SZ'"
    return (
        f'select strftime({start}, {stamp}) as "ChargePeriodStart", '
        f'strftime({start} + {step}, {stamp}) as "ChargePeriodEnd", '
        f"'{settings.FINOPS_CURRENCY}' as \"BillingCurrency\", 'Usage' as \"ChargeCategory\", "
        f'cost as "EffectiveCost", \'AI and Machine Learning\' as "ServiceCategory", '
        f'json_object({tags})::VARCHAR as "Tags", {keys}cost_type as "x_CostType", reason as "x_Reason", '
        f"{counts} from allocated order by {order}"
    )


def focus_word(key: str) -> str:
    """`model_version` → `ModelVersion`."""
    return "".join(word.capitalize() for word in key.split("_"))


def _copy(
    con: DuckDBPyConnection,
    query: str,
    target: Path,
    kind: str,
    parameters: Mapping[str, Any] | None = None,
) -> int:
    """Write a query's rows to a file; text that is empty is an empty field.

    The file is packed where its name ends in .gz or .zst.
    """
    packed = {".gz": "gzip", ".zst": "zstd"}.get(target.suffix, "none")
    shape = con.execute(f"describe {query}", parameters or {}).fetchall()
    columns = {name: kind_ for name, kind_, *_ in shape}
    if kind == "csv":
        text = ", ".join(
            f'nullif("{name}", \'\') as "{name}"' if kind_ == "VARCHAR" else f'"{name}"'
            for name, kind_ in columns.items()
        )
        query = f"select {text} from ({query})"
        options = f"format csv, header, compression {packed}"
    elif kind == "json":
        # a number of twelve places does not survive most readers of JSON: money is text
        text = ", ".join(
            f'"{name}"::VARCHAR as "{name}"' if kind_.startswith("DECIMAL") else f'"{name}"'
            for name, kind_ in columns.items()
        )
        query = f"select {text} from ({query})"
        options = f"format json, array true, compression {packed}"
    elif kind == "parquet":
        options = "format parquet, compression zstd"
    else:
        raise UsageError(f"{kind!r} is not a format of this export")
    path = str(target).replace("'", "''")
    rows: int = con.execute(f"copy ({query}) to '{path}' ({options})", parameters or {}).fetchall()[0][0]
    return rows
