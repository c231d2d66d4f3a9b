"""A small world written as tables, and what its cost is allocated to, as a table again."""

from collections.abc import Sequence
from contextlib import closing
from datetime import date

from attribution import policies, run
from finops.core import warehouse
from tests.tables import fill, rows

DAY = "2026-01-05"
_DEFAULTS = {
    "charges": {
        "source": "AWS",
        "billing_account": "1",
        "billing_currency": "USD",
        "tags": "{}",
        "extra": "{}",
    },
    "requests": {"source": "gateway", "succeeded": "true", "cached": "false", "predictions": "1"},
    "gpu_samples": {"source": "dcgm", "metric": "DCGM_FI_PROF_GR_ENGINE_ACTIVE"},
    "hosts": {},
    "owners": {"kind": "model"},
    "rates": {},
    "named_resources": {"source": "gateway", "kind": "request"},
}


def given(dataset: str, table: str) -> None:
    """`fill` with what every row of the dataset needs and a test seldom cares for.

    A time may be `10:30` for 10:30 of DAY, or `2026-01-04 10:30`; a charge's period `10:00-11:00`.
    """
    found = rows(table)
    for number, row in enumerate(found):
        if dataset == "charges":
            start, end = row.pop("period").split("-", 1) if "period" in row else (None, None)
            if start and end:
                row["charge_period_start"], row["charge_period_end"] = moment(start), moment(end)
            row.setdefault("line", str(number + 2))
        if dataset == "requests":
            row.setdefault("request_id", f"r-{number}")
        for column in ("time", "valid_from", "valid_to"):
            if row.get(column):
                row[column] = moment(row[column])
        for column, value in _DEFAULTS[dataset].items():
            row.setdefault(column, value)
        if dataset == "requests":
            row["day"] = row["time"][:10]
    columns = list(dict.fromkeys(column for row in found for column in row))
    lines = [" | ".join(columns), *(" | ".join(row[column] for column in columns) for row in found)]
    fill(dataset, "\n".join(lines))


def moment(text: str) -> str:
    text = text.strip().replace("/", "-")
    if len(text) <= 5:
        text = f"{DAY} {text}"
    return f"{text}+00" if len(text) > 10 else f"{text} 00:00+00"


def policy(text: str) -> None:
    policies.apply(text)


def a_gpu_for_two_teams() -> None:
    """Half of 8.00 is used: 1.00 by `search`, 3.00 by `vision`; the idle half is borne by the model's owner `nlp`."""
    given("hosts", "host | resource_id\n h-1 | i-1")
    given("owners", "name | team\n chat | nlp")
    given("charges", "resource_id | period | effective_cost\n i-1 | 10:00-11:00 | 8")
    given("gpu_samples", "hosts | uuid | time | busy\n h-1 | GPU-0 | 10:30 | 500000")
    given(
        "requests",
        """
        request_id | time  | model | tenant | team   | gpu_uuids | gpu_micro_ms | cached
        a          | 10:05 | chat  | acme   | search | GPU-0     | 1000000      | false
        b          | 10:06 | chat  | globex | vision | GPU-0     | 3000000      | false
        c          | 10:07 | chat  | acme   | search | GPU-0     |              | true
        d          | 11:07 | chat  | acme   | search | GPU-0     | 7000000      | false
    """,
    )
    attributed()


def attributed(*days: str) -> None:
    run.attribute([date.fromisoformat(day) for day in days or [DAY]])


def allocated(columns: str, *days: str) -> list[dict[str, str]]:
    """Attributes the days; their allocations by the columns named, `cost` without trailing zeros."""
    attributed(*days)
    return rows_of("allocations", [name for name in columns.split() if name != "cost"])


def rows_of(dataset: str, names: Sequence[str]) -> list[dict[str, str]]:
    """What the dataset says by the columns named, with its cost ("" where it has none); costs of 0 are left out."""
    costs = "usage_cost + idle_cost" if dataset == "unit_windows" else "cost"
    with closing(warehouse.connect()) as con:
        warehouse.open_view(con, dataset)
        con.execute("set TimeZone = 'UTC'")
        texts = ", ".join(
            f"strftime({name}, '%H:%M')" if name == "hour" else f"cast({name} as varchar)" for name in names
        )
        found = con.execute(
            f"select {texts}, sum({costs}) from {dataset} group by all order by all"
        ).fetchall()
    return [
        {
            **{name: cell or "" for name, cell in zip(names, cells, strict=True)},
            "cost": "" if cost is None else f"{cost.normalize():f}",
        }
        for *cells, cost in found
        if cost != 0
    ]


def table(text: str) -> list[dict[str, str]]:
    return sorted(rows(text), key=lambda row: [value for name, value in row.items() if name != "cost"])


def assert_allocated(text: str, *days: str) -> None:
    """The allocations of the days, summed by the columns of the table, are the rows of the table."""
    wanted = table(text)
    assert allocated(" ".join(wanted[0]), *days) == wanted
