"""pandas: a day in memory at a time."""

import sys
from pathlib import Path

import pandas as pd

from bench.sample import Files, find

KEY = ["hour", "model", "feature", "tenant", "team"]


def day(files: Files, name: str, requests: Path, samples: Path) -> pd.DataFrame:
    owners = pd.read_csv(files.owners)
    teams = {kind: rows.set_index("name")["team"] for kind, rows in owners.groupby("kind")}
    hosts = pd.read_csv(files.hosts).set_index("host")["resource_id"]
    bill = pd.read_parquet(files.bill)
    bill = bill[bill["ChargePeriodStart"].str[:10] == name]
    cost = bill["EffectiveCost"].astype(float)

    sampled = pd.read_parquet(samples)
    sampled["hour"] = sampled["timestamp"].dt.floor("h")
    sampled["busy"] = (sampled["value"].astype(float) * 1e6).round()
    units = sampled.groupby(["UUID", "Hostname", "hour"], as_index=False)["busy"].mean()
    units["busy"] = units["busy"] // 1 / 1e6
    units["resource_id"] = units["Hostname"].map(hosts)
    nodes = bill[bill["ServiceName"] == "GPU nodes"]
    charges = pd.DataFrame(
        {
            "resource_id": nodes["ResourceId"],
            "hour": pd.to_datetime(nodes["ChargePeriodStart"], utc=True),
            "cost": cost[nodes.index],
        }
    )
    units = units.merge(charges, on=["resource_id", "hour"])
    units["cost"] /= units.groupby(["resource_id", "hour"])["UUID"].transform("count")

    columns = ["timestamp", "model", "feature", "tenant", "gpu_uuid", "gpu_ms", "cached"]
    log = pd.read_parquet(requests, columns=columns)
    log = log[~log["cached"]]
    log["hour"] = log["timestamp"].dt.floor("h")
    log["uuids"] = log["gpu_uuid"].map(tuple)
    log["weight"] = log["gpu_ms"] / log["uuids"].map(len)
    asked = log.groupby(["hour", "uuids", "model", "feature", "tenant"], as_index=False)["weight"].sum()
    placed = asked.explode("uuids").merge(units, left_on=["uuids", "hour"], right_on=["UUID", "hour"])
    share = placed["weight"] / placed.groupby(["uuids", "hour"])["weight"].transform("sum")
    usage = placed.assign(
        cost=placed["cost"] * placed["busy"] * share, team=placed["feature"].map(teams["feature"])
    )
    idle = placed.assign(
        cost=placed["cost"] * (1 - placed["busy"]) * share,
        team=placed["model"].map(teams["model"]),
        feature="",
        tenant="",
    )
    found = [
        rows.groupby(KEY, as_index=False)["cost"].sum().assign(cost_type=cost_type)
        for cost_type, rows in (("usage", usage), ("idle", idle))
    ]
    direct = pd.concat(found)
    pool = cost[bill["ServiceName"] == "Support"].sum()
    shared = direct.groupby(KEY, as_index=False)["cost"].sum()
    shared["cost"] *= pool / shared["cost"].sum()
    return pd.concat([*found, shared.assign(cost_type="shared")])


def main(folder: Path, out: Path) -> None:
    files = find(folder)
    for name, requests, samples in files.by_day():
        day(files, name, requests, samples).to_parquet(out / f"{name}.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
