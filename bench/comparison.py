"""Whether what is written by hand gives the product's figures. `python -m bench.comparison OURS FOLDER`.

In a process of its own, as all that is measured: what one holds in memory would be counted in its children.
"""

import sys
from pathlib import Path

import duckdb

SAME = 1e-6  # of an hour and key, beside doubles


def require_same(ours: Path, out: Path) -> str:
    """Ends the process where an hour and key differs by more than doubles do; else says how many were compared."""
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        count, most = con.execute(
            f"""
            with ours as (
                select period::timestamptz as hour, model, feature, tenant, team, cost_type, sum(cost)::double as cost
                from '{ours}' group by all having sum(cost) <> 0
            ),
            theirs as (
                select hour, model, feature, tenant, team, cost_type, sum(cost) as cost
                from read_parquet('{out}/*.parquet') group by all
            )
            select count(*), max(abs(coalesce(ours.cost, 0) - coalesce(theirs.cost, 0)))
            from ours full join theirs using (hour, model, feature, tenant, team, cost_type)
            """
        ).fetchall()[0]
    if not count or most > SAME:
        sys.exit(f"{out.name} differs from ours by up to {most} in one of {count:,} cells")
    return f"{count:,} cells, none differs by more than {most:.1e}"


if __name__ == "__main__":
    print(require_same(*map(Path, sys.argv[1:])))
