"""Warehouse tables written as text: what a test starts from."""

import textwrap
from collections import defaultdict
from datetime import date

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
    con = warehouse.connect()
    new = []
    for name, members in grouped.items():
        selects, parameters = [], {}
        for number, row in enumerate(members):
            cells = []
            for column, kind in columns_of.items():
                parameter = f"p{number}_{column}"
                if kind == "VARCHAR[]":
                    parameters[parameter] = [
                        item.strip() for item in row.get(column, "").split(",") if item.strip()
                    ]
                    cells.append(f"${parameter}::VARCHAR[] as {column}")
                else:
                    parameters[parameter] = row.get(column, "" if kind == "VARCHAR" else None)
                    if parameters[parameter] == "" and kind != "VARCHAR":
                        parameters[parameter] = None
                    cells.append(f"cast(${parameter} as {kind}) as {column}")
            selects.append("select " + ", ".join(cells))
        span = (min(days[name]), max(days[name])) if days[name] else None
        query = " union all ".join(selects)
        if dataset == "requests":
            derived = {"hour": "date_part('hour', time)::integer", **HASHES}
            query = (
                "select * replace ("
                + ", ".join(f"{sql} as {c}" for c, sql in derived.items())
                + f") from ({query})"
            )
            for names in ("key_names", "place_names"):
                new.append(
                    warehouse.write(
                        con,
                        names,
                        name,
                        f"select distinct {columns(names)} from ({query})",
                        parameters,
                        days=span,
                    )
                )
        new.append(warehouse.write(con, dataset, name, query, parameters, days=span))
    return warehouse.commit(new, computed_from=warehouse.latest(), note=f"test {dataset}")


def columns(dataset: str) -> str:
    return ", ".join(DATASETS[dataset].columns)
