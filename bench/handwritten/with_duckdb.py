"""Bare DuckDB: a statement a day, over doubles."""

import sys
from pathlib import Path

import duckdb

from bench.sample import find

DAY = """
copy (
    with owner as (select kind, name, team from read_csv('{owners}', all_varchar = true)),
    host as (select host, resource_id from read_csv('{hosts}')),
    busy as (
        select "UUID" as uuid, any_value(host.resource_id) as resource_id, date_trunc('hour', "timestamp") as hour,
            (sum((value::double * 1000000)::bigint) // count(*)) / 1000000 as busy
        from '{samples}' join host on host.host = "Hostname"
        group by all
    ),
    charge as (
        select "ResourceId" as resource_id, "ChargePeriodStart"::timestamptz as hour, sum("EffectiveCost"::double) as cost
        from '{bill}'
        where "ServiceName" = 'GPU nodes' and "ChargePeriodStart"[:10] = '{day}'
        group by all
    ),
    unit as (
        select uuid, hour, busy, cost / count(*) over (partition by resource_id, hour) as cost
        from busy join charge using (resource_id, hour)
    ),
    asked as (
        select date_trunc('hour', "timestamp") as hour, gpu_uuid, model, feature, tenant,
            sum(gpu_ms / len(gpu_uuid)) as weight
        from '{requests}'
        where not cached
        group by all
    ),
    placed as (
        select hour, model, feature, tenant, weight, unnest(gpu_uuid) as uuid from asked
    ),
    shared as (
        select placed.*, weight / sum(weight) over (partition by uuid, hour) as share, busy, cost
        from placed join unit using (uuid, hour)
    ),
    cell as (
        select hour, model, feature, tenant, feature_owner.team, 'usage' as cost_type, sum(cost * busy * share) as cost
        from shared join owner as feature_owner on feature_owner.kind = 'feature' and feature_owner.name = feature
        group by all
        union all
        select hour, model, '', '', model_owner.team, 'idle', sum(cost * (1 - busy) * share)
        from shared join owner as model_owner on model_owner.kind = 'model' and model_owner.name = model
        group by all
    )
    select * from cell
    union all
    select hour, model, feature, tenant, team, 'shared', sum(cost) * any_value(pool) / any_value(whole)
    from cell
    cross join (select sum(cost) as whole from cell)
    cross join (
        select sum("EffectiveCost"::double) as pool from '{bill}'
        where "ServiceName" = 'Support' and "ChargePeriodStart"[:10] = '{day}'
    )
    group by hour, model, feature, tenant, team
) to '{out}'
"""


def main(folder: Path, out: Path) -> None:
    files = find(folder)
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        for day, requests, samples in files.by_day():
            names = {"bill": files.bill, "hosts": files.hosts, "owners": files.owners}
            con.execute(
                DAY.format(day=day, requests=requests, samples=samples, out=out / f"{day}.parquet", **names)
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
