"""A large organisation's year, written straight into a warehouse: what the pages read, and one day's raw rows.

20 models on 48 nodes of eight GPUs and behind two metered APIs, 50 features, 12 teams, tenants with a
long tail. All days but the last hold what an attribution would have left; of the last there are the
charges, samples and requests, and it is attributed for real, so that it can be attributed again.
The same arguments give the same rows.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from django.contrib.auth.models import Group, User
from duckdb import DuckDBPyConnection

from attribution import run
from attribution.models import Run
from finops.core import warehouse
from finops.core.access import ENGINEER, FINANCE, OWNER
from finops.core.datasets import COUNTS, DATASETS, HASHES, KEYS, PLACES
from finops.core.models import TeamMember
from ingest.models import BilledPeriod, Delivery

END = date(2026, 9, 21)  # the day after the last: a month begun, as on any day
USERS = {"finance": FINANCE, "engineer": ENGINEER, "owner": OWNER}
OWNED = "team-03"
PASSWORD = "large"
_DAY = timedelta(days=1)
_SQL = Path(__file__).parent / "sql"

POLICY = """\
[idle]
policy = "owner"

[[rules]]
name = "metered API"
when = { ServiceName = "OpenAI API" }
then = { api = "openai" }

[[rules]]
name = "support"
when = { ServiceName = "support" }
then = { pool = "support" }

[[rules]]
name = "storage"
when = { ServiceName = "storage" }
then = { pool = "storage" }

[[rules]]
name = "network"
when = { ServiceName = "network" }
then = { pool = "network" }

[[pools]]
name = "support"
driver = "direct_cost"

[[pools]]
name = "storage"
driver = "requests"

[[pools]]
name = "network"
driver = "tokens"
"""


def build(
    days: int = 365,
    tenants: int = 2000,
    requests: int = 300_000,
    say: Callable[[str], object] = lambda _: None,
) -> date:
    """Fill the (empty) warehouse of the settings' data folder; the last day, which is there to be attributed again."""
    last, start = END - _DAY, END - timedelta(days=days)
    with closing(warehouse.connect(memory="2GB")) as con:
        _script(con, "organisation", {"tenants": tenants})
        _inventory(con)
        for first, end in _months(start, END):
            _script(con, "days", {"start": first, "end": end})
            _bill(con, first)
            for number in range((end - first).days):
                day = first + timedelta(days=number)
                if day != last:
                    _attributed(con, day)
            say(f"{first:%Y-%m}")
        _raw(con, last, requests)
    run.attribute([last], force=True)
    _users()
    say(f"attributed {last}")
    return last


def _text(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text()


def _script(con: DuckDBPyConnection, name: str, parameters: Mapping[str, object]) -> None:
    """Run a file of statements, each with those of the parameters that it names."""
    for statement in _text(name).split(";\n"):
        if statement.strip():
            con.execute(
                statement, {one: value for one, value in parameters.items() if f"${one}" in statement}
            )


def _months(start: date, end: date) -> Iterator[tuple[date, date]]:
    while start < end:
        after = min((start.replace(day=1) + timedelta(days=32)).replace(day=1), end)
        yield start, after
        start = after


def _write(
    con: DuckDBPyConnection,
    dataset: str,
    partition: str,
    given: Mapping[str, str],
    rows: str,
    days: tuple[date, date] | None = None,
    parameters: Mapping[str, object] | None = None,
) -> warehouse.NewFile:
    """`rows` is what stands after FROM; columns that are not given are empty text or NULL."""
    columns = ", ".join(
        f"{given.get(column, chr(39) * 2 if kind == 'VARCHAR' else 'null')} as {column}"
        for column, kind in DATASETS[dataset].columns.items()
    )
    return warehouse.write(con, dataset, partition, f"select {columns} from {rows}", parameters, days)


def _commit(*files: warehouse.NewFile, beside: Callable[[int], None] | None = None) -> int:
    return warehouse.commit(files, computed_from=warehouse.latest(), note="large organisation", beside=beside)


def _inventory(con: DuckDBPyConnection) -> None:
    con.execute("create table policy_text as select $text as text", {"text": POLICY})
    _commit(
        _write(con, "hosts", "all", {"host": "host", "resource_id": "resource_id"}, "machine"),
        _write(
            con,
            "owners",
            "all",
            {"kind": "kind", "name": "name", "team": "team", "cost_center": "'cc-' || team"},
            "(select 'feature' as kind, named('feature', feature, 2) as name, named('team', team, 2) as team "
            "from feature union all "
            "select 'model', named('model', n, 2), named('team', n % 12, 2) from range(20) as models (n) "
            "union all select 'team', named('team', n, 2), named('team', n, 2) from range(12) as teams (n))",
        ),
        _write(con, "policy", "all", {"version": "1", "text": "text"}, "policy_text"),
    )


def _bill(con: DuckDBPyConnection, first: date) -> None:
    """The charges of a month, and what its delivery said."""
    period = f"{first:%Y-%m}"
    row = con.execute("select min(day), max(day), count(*), sum(pico)::hugeint from bill_line").fetchone()
    assert row is not None
    start, last, rows, pico = row
    cost = str(Decimal(pico) / 10**12)
    amount = "(pico::decimal(38,0) * 0.000000000001::decimal(12,12))"
    service = "case what when 'machine' then 'EC2' when 'api' then 'OpenAI API' else name end"
    given = {
        **_named("aws", "1001", period),
        "delivery": "1",
        "billing_account_id": "'1001'",
        "billing_currency": "'USD'",
        "billing_period_start": f"timestamptz '{period}-01 00:00:00+00'",
        "charge_period_start": "hour::timestamptz",
        "charge_period_end": "until::timestamptz",
        "charge_category": "'Usage'",
        "billed_cost": amount,
        "effective_cost": amount,
        "list_cost": amount,
        "service_category": _CATEGORY,
        "service_name": service,
        "resource_id": "case what when 'machine' then name else '' end",
        "sub_account_id": "case what when 'api' then name else '' end",
        "tags": "case what when 'api' then json_object('model', named('model', model_number, 2))::varchar else '{}' end",
        "file": f"'bill-{period}.csv'",
        "line": "line",
    }
    file = _write(
        con,
        "charges",
        warehouse.partition("charges", "aws", "1001", period),
        given,
        "bill_line",
        (start, last),
    )

    def remember(snapshot: int) -> None:
        delivery = Delivery.objects.create(
            kind="billing",
            source="aws",
            state="loaded",
            fingerprint=f"bill {period}",
            snapshot=snapshot,
            rows=rows,
            newest_day=last,
            finished=datetime(last.year, last.month, last.day, 12, tzinfo=UTC),
        )
        BilledPeriod.objects.create(
            delivery=delivery,
            source="aws",
            billing_account="1001",
            billing_period=period,
            currency="USD",
            rows=rows,
            billed_cost=cost,
            effective_cost=cost,
            newest_day=last,
            since_snapshot=snapshot,
        )

    _commit(file, beside=remember)


_CATEGORY = (
    "case what when 'machine' then 'Compute' when 'api' then 'AI and Machine Learning' else 'Other' end"
)
_COST = "(pico::decimal(38,0) * 0.000000000001::decimal(12,12))"


def _named(source: str, account: str, period: str) -> dict[str, str]:
    return {
        "source": f"'{source}'",
        "billing_account": f"'{account}'",
        "billing_period": f"'{period}'",
    }


def _attributed(con: DuckDBPyConnection, day: date) -> None:
    """What an attribution of the day would have left for the pages."""
    period, on_day = f"{day:%Y-%m}", {"day": day}
    of_bill = _named("aws", "1001", period)
    keys = {key: key for key in KEYS}
    shown = ("cost_type", "reason", "measure", "pool", "service_category")
    counts = {
        "requests": "weight",
        "failed_requests": "weight // 100",
        "cached_requests": "weight // 50",
        "predictions": "weight - weight // 100",
        "input_tokens": "weight * 900",
        "cached_input_tokens": "weight * 90",
        "output_tokens": "weight * 180",
        "gpu_micro_ms": "case when provider = '' then weight::hugeint * 700000000 end",
    }
    assert counts.keys() <= COUNTS.keys()

    def written(dataset: str, given: Mapping[str, str], rows: str) -> warehouse.NewFile:
        return _write(
            con, dataset, str(day), {"day": "day", **given}, f"{rows} where day = $day", (day, day), on_day
        )

    files = [
        written(
            "allocation_days",
            {**keys, **of_bill, **dict(zip(shown, shown, strict=True)), "cost": _COST},
            "allocation",
        ),
        written("request_days", {**keys, **counts}, "asked"),
        written(
            "charge_days",
            {
                **of_bill,
                "file": f"'bill-{period}.csv'",
                "line": "line",
                "rule": "case what when 'machine' then 'default:direct' when 'api' then 'metered API' "
                "when 'pool' then name else 'default:exclude' end",
                "disposition": "case what when 'machine' then 'direct' when 'excluded' then 'exclude' else what end",
                "target": "case what when 'api' then 'openai' when 'pool' then name else '' end",
                "resource_id": "case what when 'machine' then name else '' end",
                "service_category": _CATEGORY,
                "service_name": "case what when 'machine' then 'EC2' when 'api' then 'OpenAI API' else name end",
                "original_currency": "'USD'",
                "original_cost": _COST,
                "cost": _COST,
            },
            "bill_line",
        ),
        written(
            "unit_windows",
            {
                "window_start": "hour::timestamptz",
                "window_end": "(hour + interval 1 hour)::timestamptz",
                "unit_kind": "'resource'",
                "resource_id": "resource_id",
                "busy": "usage_pico * 1000000 // price_pico",
                "assumed": "false",
                "measure": "'gpu_ms'",
                "weight": "1",
                "usage_cost": _COST.replace("pico", "usage_pico", 1),
                "idle_cost": _COST.replace("pico", "(price_pico - usage_pico)", 1),
            },
            "hour_cost",
        ),
        written(
            "unmatched",
            {
                "kind": "'excluded_charge'",
                "name": "name",
                "cost": _COST,
                "rows": "1",
                "remedy": "'hosts.csv: HOST,' || name",
            },
            "(select * from bill_line where what = 'excluded')",
        ),
    ]
    row = con.execute("select sum(pico)::hugeint from allocation where day = $day", on_day).fetchone()
    charged = con.execute(
        "select sum(pico)::hugeint from bill_line where day = $day and what <> 'excluded'", on_day
    ).fetchone()
    if row is None or row != charged:
        raise AssertionError(f"{day}: charged {charged}, allocated {row}")
    cost = Decimal(row[0]).scaleb(-12)

    def remember(snapshot: int) -> None:
        Run.objects.create(
            day=day,
            computed_from=snapshot,
            snapshot=snapshot,
            looked_from=day,
            looked_until=day,
            fingerprint="large organisation",
            policy_version=1,
            complete=True,
            charged=cost,
            allocated=cost,
            seconds=1.0,
        )

    _commit(*files, beside=remember)


def _raw(con: DuckDBPyConnection, day: date, requests: int) -> None:
    """Samples and requests of one day, as if they had been delivered."""
    source, span, on_day = "gateway", (day, day), {"day": day}
    gpus = "(select *, host || '-gpu-' || gpu as uuid from machine, range(8) as gpus (gpu))"
    sample = {
        "source": "'dcgm'",
        "day": "$day",
        "uuid": "uuid",
        "gpu_model": "'NVIDIA H100'",
        "metric": "'DCGM_FI_PROF_GR_ENGINE_ACTIVE'",
        "time": "$day::timestamptz + to_minutes(minute)",
        "busy": "(350000 + 400000 * chance(machine * 100000 + gpu * 10000 + minute, 30))::bigint",
        "hosts": "[host]",
        "delivery": "0",
    }
    hashes = ", ".join(f"{hashed} as {name}" for name, hashed in HASHES.items())
    named = {"source": "'dcgm'", "day": "$day", "kind": "'gpu'", "uuid": "uuid", "names": "[host]"}
    con.execute(
        f"create table log as select *, date_part('hour', time)::integer as hour, {hashes} from ({_text('log')})",
        {"day": day, "rows": requests},
    )
    files = (
        _write(
            con,
            "gpu_samples",
            warehouse.partition("gpu_samples", "dcgm", day),
            sample,
            f"{gpus}, range(0, 1440, 5) as minutes (minute)",
            span,
            on_day,
        ),
        _write(
            con,
            "named_resources",
            warehouse.partition("named_resources", "dcgm", day),
            named,
            gpus,
            span,
            on_day,
        ),
        *(
            warehouse.write(con, name, warehouse.partition(name, source, day), query, days=span)
            for name, query in (
                ("requests", "from log"),
                ("key_names", f"select distinct source, day, key_hash, {', '.join(KEYS)} from log"),
                ("place_names", f"select distinct source, day, place_hash, {', '.join(PLACES)} from log"),
            )
        ),
    )

    def remember(snapshot: int) -> None:
        for kind, name in (("gpu", "dcgm"), ("requests", source)):
            Delivery.objects.create(
                kind=kind,
                source=name,
                state="loaded",
                fingerprint=f"{kind} {day}",
                snapshot=snapshot,
                newest_day=day,
                finished=datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
            )

    _commit(*files, beside=remember)


def _users() -> None:
    for name, role in USERS.items():
        user = User.objects.create_user(name, password=PASSWORD)
        user.groups.add(Group.objects.get_or_create(name=role)[0])
        if role == OWNER:
            TeamMember.objects.create(user=user, team=OWNED)
