"""A large request log with what belongs to it, made by DuckDB: files only, in the formats that `ingest` takes.

Eight nodes of eight GPUs serve twelve models to five hundred tenants. Four models run on four GPUs at
once, eight on one; a tenant uses a handful of models and features.
The same arguments give the same rows. `python -m bench.sample FOLDER REQUESTS DAYS [gpu_ms] [lines]`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

NODES, GPUS_OF_NODE = 8, 8
MODELS, TENANTS, FEATURES, TEAMS = 12, 500, 40, 10
WIDE_MODELS = 4  # the first models have two replicas of four GPUs, the others four of one
FIRST_DAY = date(2026, 9, 1)
RATE = "4.50"  # of a GPU hour, in USD


@dataclass(frozen=True)
class Files:
    """What was written, a file a day of requests and of samples."""

    requests: tuple[Path, ...]
    samples: tuple[Path, ...]
    bill: Path
    hosts: Path
    owners: Path
    policy: Path
    days: tuple[date, ...]

    def by_day(self) -> Iterator[tuple[str, Path, Path]]:
        """Each day with its requests and its samples."""
        return zip(map(str, self.days), self.requests, self.samples, strict=True)


def write(folder: Path, requests: int, days: int, gpu_ms: bool, lines: bool = False) -> Files:
    """`requests` in all, evenly over the days; `gpu_ms`: measured by the server, else it has times and tokens alone.

    `lines`: the log as JSONL.gz instead of Parquet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    span = [FIRST_DAY + timedelta(days=number) for number in range(days)]
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(_REPLICAS)
        for number, day in enumerate(span):
            rows = requests * (number + 1) // days - requests * number // days
            _log(con, folder, day, rows, gpu_ms, lines)
            con.execute(f"copy ({_SAMPLES}) to '{folder / f'gpu-{day}.parquet'}'", {"day": day})
        con.execute(f"copy ({_BILL}) to '{folder / 'bill.parquet'}'", {"days": span})
    hosts, owners, policy = folder / "hosts.csv", folder / "owners.csv", folder / "policy.toml"
    hosts.write_text("host,resource_id\n" + "".join(f"node-{node},i-{node:04d}\n" for node in range(NODES)))
    owners.write_text(
        "kind,name,team,cost_center,owner_email,valid_from,valid_to\n"
        + "".join(f"model,model-{n:02d},team-{n % TEAMS},,,,\n" for n in range(MODELS))
        + "".join(f"feature,feature-{n:02d},team-{n % TEAMS},,,,\n" for n in range(FEATURES))
    )
    policy.write_text(_POLICY)
    return find(folder)


def find(folder: Path) -> Files:
    """What `write` left in a folder."""
    logs = tuple(sorted(folder.glob("requests-*")))
    days = tuple(date.fromisoformat(path.name[9:19]) for path in logs)
    samples = tuple(folder / f"gpu-{day}.parquet" for day in days)
    names = ("bill.parquet", "hosts.csv", "owners.csv", "policy.toml")
    return Files(logs, samples, *(folder / name for name in names), days)


def _log(
    con: duckdb.DuckDBPyConnection, folder: Path, day: date, rows: int, gpu_ms: bool, lines: bool
) -> None:
    path = folder / (f"requests-{day}.jsonl.gz" if lines else f"requests-{day}.parquet")
    form = "format json, compression gzip" if lines else "format parquet, compression zstd"
    measured = "round(latency * 0.7)::bigint as gpu_ms," if gpu_ms else ""
    con.execute(f"copy ({_LOG.format(measured=measured)}) to '{path}' ({form})", {"day": day, "rows": rows})


# `chance(i, salt)` is the same for the same row, in [0, 1).
_REPLICAS = f"""
create macro chance(i, salt) as (hash(i * 1000 + salt) % 1000003) / 1000003.0;
create table gpu as
select n as gpu, 'GPU-' || lpad(n::varchar, 4, '0') as uuid, 'node-' || n // {GPUS_OF_NODE} as host
from range({NODES * GPUS_OF_NODE}) as numbers (n);
create table replica as
select model, replica, list(uuid order by gpu) as uuids, min(host) as host
from (
    select *, case when gpu < 32 then gpu // 8 else 4 + (gpu - 32) // 4 end as model,
        case when gpu < 32 then gpu // 4 % 2 else (gpu - 32) % 4 end as replica
    from gpu
)
group by all;
"""

_LOG = """
with drawn as (
    select i, (2 ** (9 * chance(i, 1)) - 1)::integer % 500 as tenant, chance(i, 2) as of_model,
        chance(i, 3) as of_replica, chance(i, 4) as of_time, chance(i, 5) as size, chance(i, 6) as written,
        chance(i, 7) as other
    from range($rows) as numbers (i)
),
asked as (
    select *, (tenant * 7 + (4 * of_model ** 2)::integer) % 12 as model,
        (tenant + (4 * of_model ** 2)::integer // 2) % 40 as feature,
        date_trunc('second', $day::timestamp)
            + to_milliseconds((86399999 * (of_time + 0.1 * sin(6.2831853 * of_time)) / 1.0)::bigint % 86400000) as time,
        (20 + 4000 * size * size)::bigint as input, (5 + 600 * written * written)::bigint as output
    from drawn
)
select 'r-' || hash(i)::varchar || '-' || $day::varchar as request_id,
    time::timestamptz as "timestamp",
    'model-' || lpad(asked.model::varchar, 2, '0') as model, 'v1' as model_version,
    'feature-' || lpad(feature::varchar, 2, '0') as feature,
    'tenant-' || lpad(tenant::varchar, 3, '0') as tenant, 'prod' as environment, 'eu-west-1' as region,
    replica.host as host, replica.uuids as gpu_uuid,
    input as input_tokens, (input * other * 0.5)::bigint as cached_input_tokens, output as output_tokens,
    {measured}
    latency as latency_ms, (30 + latency * 0.1)::bigint as ttft_ms,
    case when other > 0.99 then '500' else '200' end as status, other < 0.02 as cached
from (select *, (60 + output * (8 + 6 * other))::bigint as latency from asked) as asked
join replica on replica.model = asked.model
    and replica.replica = (of_replica * case when asked.model < 4 then 2 else 4 end)::integer
        % (case when asked.model < 4 then 2 else 4 end)
order by time
"""

_SAMPLES = """
select 'DCGM_FI_PROF_GR_ENGINE_ACTIVE' as metric, uuid as "UUID", host as "Hostname", 'NVIDIA H100' as "modelName",
    ($day::timestamp + to_minutes(minute))::timestamptz as "timestamp",
    round(0.25 + 0.5 * chance(gpu * 1440 + minute, 9), 4)::varchar as value
from gpu, range(1440) as minutes (minute)
order by uuid, minute
"""

_BILL = f"""
select 'AWS' as "ProviderName", '1' as "BillingAccountId", 'Fleet' as "BillingAccountName", 'USD' as "BillingCurrency",
    '2026-09-01T00:00:00Z' as "BillingPeriodStart", '2026-10-01T00:00:00Z' as "BillingPeriodEnd",
    strftime(hour, '%Y-%m-%dT%H:%M:%SZ') as "ChargePeriodStart",
    strftime(hour + interval 1 hour, '%Y-%m-%dT%H:%M:%SZ') as "ChargePeriodEnd",
    'Usage' as "ChargeCategory", 'Virtual machine' as "ChargeDescription", 'Compute' as "ServiceCategory",
    'GPU nodes' as "ServiceName", 'i-' || lpad(node::varchar, 4, '0') as "ResourceId",
    ({RATE} * {GPUS_OF_NODE})::varchar as "BilledCost", ({RATE} * {GPUS_OF_NODE} + node / 100)::varchar as "EffectiveCost",
    ({RATE} * {GPUS_OF_NODE})::varchar as "ListCost", '{{}}' as "Tags"
from range({NODES}) as nodes (node)
cross join (
    select unnest(generate_series(day::timestamp, day::timestamp + interval 23 hour, interval 1 hour)) as hour
    from (select unnest($days::date[]) as day)
)
union all
select 'AWS', '1', 'Fleet', 'USD', '2026-09-01T00:00:00Z', '2026-10-01T00:00:00Z',
    strftime(day::timestamp, '%Y-%m-%dT%H:%M:%SZ'), strftime(day::timestamp + interval 1 day, '%Y-%m-%dT%H:%M:%SZ'),
    'Usage', 'Support', 'Other', 'Support', null, '240', '240', '240', '{{}}'
from (select unnest($days::date[]) as day)
"""

_POLICY = """\
[[rules]]
name = "support"
when = { ServiceName = "Support" }
then = { pool = "support" }

[[pools]]
name = "support"
driver = "direct_cost"
"""


if __name__ == "__main__":
    folder, requests, days, *flags = sys.argv[1:]
    write(Path(folder), int(requests), int(days), "gpu_ms" in flags, "lines" in flags)
