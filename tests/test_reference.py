"""The reference itself: the worked scenarios, and what must hold in any world."""

import csv
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests import reference, worlds

CONFORMANCE = Path(__file__).resolve().parents[2] / "shared" / "conformance"
SCENARIOS = sorted(CONFORMANCE.glob("*/expected.csv"))
any_world = settings(max_examples=25, derandomize=True, deadline=None, database=None)

Amounts = dict[tuple[str, ...], Decimal]


@pytest.mark.skipif(not SCENARIOS, reason="the worked scenarios (../shared/conformance) are not here")
@pytest.mark.parametrize("expected", SCENARIOS, ids=lambda path: path.parent.name)
def test_a_worked_scenario_comes_out_as_written(expected: Path) -> None:
    result = reference.attribute(expected.parent, date(2026, 9, 6), date(2026, 9, 10))
    got: Amounts = defaultdict(Decimal)
    for row in result.allocations:
        got[f"{row.hour:%Y-%m-%dT%H:%M:%SZ}", *row.key[:8], row.cost_type] += row.cost
    with expected.open(newline="") as file:
        want = {tuple(row[:10]): Decimal(row[10]) for row in list(csv.reader(file))[1:]}
    off = {
        cell: (got.get(cell, 0), want.get(cell, 0))
        for cell in got.keys() | want.keys()
        if abs(got.get(cell, Decimal(0)) - want.get(cell, Decimal(0))) > Decimal("1e-6")
    }
    assert not off
    charges = [c for c in result.charges if c.disposition not in ("exclude", "unconverted")]
    assert sum(got.values()) == sum(reference.money(c.cost) for c in charges)


def attributed(world: worlds.World, start: date = worlds.START, end: date = worlds.END) -> reference.Result:
    with tempfile.TemporaryDirectory() as folder:
        return reference.attribute(world.write(Path(folder)), start, end)


def total(rows: Iterable[reference.Allocation]) -> Decimal:
    return sum((row.cost for row in rows), Decimal(0))


@any_world
@given(world=worlds.worlds())
def test_every_cent_in_is_a_cent_out(world: worlds.World) -> None:
    result = attributed(world, date(2026, 8, 1), date(2026, 11, 1))
    within = [c for c in result.charges if c.disposition not in ("exclude", "unconverted")]
    unconverted = [reference.money(c.cost) for c in within if c.currency == "USD"]
    converted = [reference.money(part) for c in within if c.currency != "USD" for part in c.parts.values()]
    assert total(result.allocations) == sum([*unconverted, *converted], Decimal(0))


@any_world
@given(world=worlds.worlds())
def test_days_attributed_one_by_one_are_the_days_attributed_together(world: worlds.World) -> None:
    days = [worlds.START + timedelta(days=n) for n in range((worlds.END - worlds.START).days)]
    one_by_one = [row for day in days for row in attributed(world, day, day + timedelta(days=1)).allocations]
    assert sorted(one_by_one) == attributed(world).allocations


@any_world
@given(world=worlds.worlds())
def test_the_order_of_bill_and_pools_does_not_matter(world: worlds.World) -> None:
    turned = replace(world, charges=world.charges[::-1], pools=world.pools[::-1])
    assert attributed(turned).allocations == attributed(world).allocations


@any_world
@given(world=worlds.worlds())
def test_a_credit_is_the_mirror_image_of_a_charge(world: worlds.World) -> None:
    negated = [{**c, "EffectiveCost": str(Decimal(c["EffectiveCost"]).copy_negate())} for c in world.charges]
    bare = replace(world, pools=[], rules=[r for r in world.rules if "pool" not in r["then"]])
    mirrored = [
        row._replace(cost=-row.cost) for row in attributed(replace(bare, charges=negated)).allocations
    ]
    assert mirrored == attributed(bare).allocations


@any_world
@given(world=worlds.worlds())
def test_each_request_is_counted_once(world: worlds.World) -> None:
    result = attributed(world)
    delivered = {(r["request_id"], reference.moment(r["timestamp"]).date()) for r in world.requests}
    days = [day for _, day in delivered]
    assert sum(c.requests for c in result.counts.values()) == sum(
        worlds.START <= d < worlds.END for d in days
    )


def test_a_split_is_cut_toward_zero_and_sums_to_the_whole() -> None:
    assert reference.split(10, [1, 1, 1]) == [3, 3, 4]
    assert reference.split(-10, [1, 1, 1]) == [-3, -3, -4]
    assert reference.split(1, [0, 5, 0]) == [0, 1, 0]


def test_of_two_that_decode_together_each_counts_half_of_that_time(tmp_path: Path) -> None:
    at = {"timestamp": "2026-09-07T09:00:00Z", "model": "chat", "input_tokens": 1, "output_tokens": 1}
    world = worlds.World(
        requests=[
            {"request_id": "1", **at, "ttft_ms": 0, "latency_ms": 1000},
            {"request_id": "2", **at, "ttft_ms": 500, "latency_ms": 1000},
            {"request_id": "3", **at, "ttft_ms": 1000, "latency_ms": 1000},
        ]
    )
    shares = [r.alone for r in reference.World(world.write(tmp_path)).requests]
    assert shares == [750_000, 500_000, 1_000_000]


def test_a_world_is_the_same_for_the_same_seed() -> None:
    assert worlds.draw_world(random.Random(3)) == worlds.draw_world(random.Random(3))


def test_the_smallest_world_keeps_only_what_fails() -> None:
    world = worlds.draw_world(random.Random(3))
    charge = world.charges[0]
    assert worlds.smallest(world, lambda w: charge in w.charges) == worlds.World(
        charges=[charge], pools=world.pools
    )


def test_times_are_read_as_they_are_written() -> None:
    nine = datetime(2026, 9, 7, 9, tzinfo=UTC)
    for written in ("2026-09-07T09:00:00Z", "2026-09-07T11:00:00+02:00", 1788771600, 1788771600000):
        assert reference.moment(written) == nine
