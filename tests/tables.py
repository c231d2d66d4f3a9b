"""Warehouse tables written as text: what a test starts from."""

import textwrap
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from functools import cache

import duckdb

from finops.core import warehouse
from finops.core.datasets import DATASETS, HASHES, KEYS, PLACES


def rows(table: str) -> list[dict[str, str]]:
    """A table of `a | b` lines as rows; the first line names the columns."""
    lines = [line for line in textwrap.dedent(table).strip().splitlines() if line.strip()]
    header = [cell.strip() for cell in lines[0].split("|")]
    return [dict(zip(header, (cell.strip() for cell in line.split("|")), strict=True)) for line in lines[1:]]


def fill(dataset: str, table: str) -> int:
    """Replace the partitions that the rows name; the new snapshot's number.

    Columns left out are NULL, text columns an empty string. `day` may be left out where a time column tells it.
    A list column is written with commas.
    """
    shape = DATASETS[dataset]
    columns_of = shape.columns
    if dataset == "requests":
        columns_of = {**columns_of, **dict.fromkeys(KEYS, "VARCHAR"), **PLACES}
    grouped: dict[str, list[dict[str, str]]] = defaultdict(list)
    days: dict[str, set[date]] = defaultdict(set)
    for row in rows(table):
        if "day" in columns_of and "day" not in row:
            moment = next(row[name] for name in ("hour", "time", "window_start") if name in row)
            row["day"] = moment[:10]
        if dataset == "charges":
            row.setdefault("billing_account", row.get("billing_account_id", ""))
            row.setdefault("billing_period", row["charge_period_start"][:7])
            row.setdefault("charge_period_end", row["charge_period_start"])
        name = warehouse.partition(dataset, *(row.get(column, "") for column in shape.partition))
        grouped[name].append(row)
        for column in ("day", "charge_period_start", "charge_period_end"):
            if column in row:
                days[name].add(date.fromisoformat(row[column][:10]))
    new = []
    for name, members in grouped.items():
        span = (min(days[name]), max(days[name])) if days[name] else None
        query = _typed(members, columns_of)
        written = {dataset: query}
        if dataset == "requests":
            derived = {"hour": "date_part('hour', time)::integer", **HASHES}
            replaced = ", ".join(f"{sql} as {column}" for column, sql in derived.items())
            query = f"select * replace ({replaced}) from ({query})"
            written = {
                **{
                    names: f"select distinct {columns(names)} from ({query})"
                    for names in ("key_names", "place_names")
                },
                dataset: query,
            }
        new += [warehouse.write(_duckdb(), one, name, rows, days=span) for one, rows in written.items()]
    return warehouse.commit(new, computed_from=warehouse.latest(), note=f"test {dataset}")


def columns(dataset: str) -> str:
    return ", ".join(DATASETS[dataset].columns)


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    """One for the process: to open one takes as long as to write a table."""
    return warehouse.connect()


def _typed(members: list[dict[str, str]], kinds: Mapping[str, str]) -> str:
    """The query of the rows, which all have the same columns."""
    given = list(members[0])
    values = ", ".join(
        "(" + ", ".join("'" + row[column].replace("'", "''") + "'" for column in given) + ")"
        for row in members
    )
    cells = ", ".join(f"{_cell(column, kind, column in given)} as {column}" for column, kind in kinds.items())
    return f"select {cells} from (values {values}) as given({', '.join(given)})"


def _cell(column: str, kind: str, given: bool) -> str:
    if kind == "VARCHAR":
        return column if given else "''"
    if kind == "VARCHAR[]":
        items = f"[trim(item) for item in string_split({column}, ',') if trim(item) <> '']"
        return items if given else "[]::VARCHAR[]"
    return f"nullif({column}, '')::{kind}" if given else f"null::{kind}"
