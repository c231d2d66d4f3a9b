"""polars: lazy frames, a day at a time."""

import sys
from pathlib import Path

import polars as pl

from bench.sample import Files, find

KEY = ["hour", "model", "feature", "tenant", "team"]


def day(files: Files, name: str, requests: Path, samples: Path) -> pl.DataFrame:
    owners = pl.scan_csv(files.owners)
    teams = {
        kind: owners.filter(pl.col("kind") == kind).select(pl.col("name").alias(kind), "team")
        for kind in ("feature", "model")
    }
    hosts = pl.scan_csv(files.hosts)
    bill = (
        pl.scan_parquet(files.bill)
        .filter(pl.col("ChargePeriodStart").str.slice(0, 10) == name)
        .with_columns(pl.col("EffectiveCost").cast(pl.Float64).alias("cost"))
    )
    units = (
        pl.scan_parquet(samples)
        .group_by("UUID", "Hostname", pl.col("timestamp").dt.truncate("1h").alias("hour"))
        .agg(((pl.col("value").cast(pl.Float64) * 1e6).round().mean().floor() / 1e6).alias("busy"))
        .join(hosts, left_on="Hostname", right_on="host")
        .join(
            bill.filter(pl.col("ServiceName") == "GPU nodes").select(
                pl.col("ResourceId").alias("resource_id"),
                pl.col("ChargePeriodStart")
                .str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
                .alias("hour"),
                "cost",
            ),
            on=["resource_id", "hour"],
        )
        .select(
            pl.col("UUID").alias("gpu_uuid"),
            "hour",
            "busy",
            pl.col("cost") / pl.len().over("resource_id", "hour"),
        )
    )
    placed = (
        pl.scan_parquet(requests)
        .filter(~pl.col("cached"))
        .group_by(
            pl.col("timestamp").dt.truncate("1h").alias("hour"), "gpu_uuid", "model", "feature", "tenant"
        )
        .agg((pl.col("gpu_ms") / pl.col("gpu_uuid").list.len()).sum().alias("weight"))
        .explode("gpu_uuid")
        .join(units, on=["gpu_uuid", "hour"])
        .with_columns(
            (pl.col("cost") * pl.col("weight") / pl.col("weight").sum().over("gpu_uuid", "hour")).alias(
                "cost"
            )
        )
    )
    usage = (
        placed.join(teams["feature"], on="feature")
        .group_by(KEY)
        .agg((pl.col("cost") * pl.col("busy")).sum())
        .with_columns(pl.lit("usage").alias("cost_type"))
    )
    idle = (
        placed.join(teams["model"], on="model")
        .with_columns(pl.lit("").alias("feature"), pl.lit("").alias("tenant"))
        .group_by(KEY)
        .agg((pl.col("cost") * (1 - pl.col("busy"))).sum())
        .with_columns(pl.lit("idle").alias("cost_type"))
    )
    direct = pl.concat([usage, idle]).collect()
    pool = bill.filter(pl.col("ServiceName") == "Support").select(pl.col("cost").sum()).collect().item()
    shared = (
        direct.group_by(KEY)
        .agg(pl.col("cost").sum())
        .with_columns(
            (pl.col("cost") * pool / pl.col("cost").sum()).alias("cost"), pl.lit("shared").alias("cost_type")
        )
    )
    return pl.concat([direct, shared])


def main(folder: Path, out: Path) -> None:
    files = find(folder)
    for name, requests, samples in files.by_day():
        day(files, name, requests, samples).write_parquet(out / f"{name}.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
