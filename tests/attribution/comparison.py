"""A world given to the product and to the reference: what they say differently.

python -m tests.attribution.comparison 0 200        seeds 0 to 199; each disagreement is reduced and kept
"""

import logging
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests import reference, worlds

NEAR = Decimal("1e-11")
COUNTS = (
    "requests",
    "failed_requests",
    "cached_requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "gpu_seconds",
)


def differences(
    folder: Path, start: date = worlds.START, end: date = worlds.END, workers: int = 1
) -> list[str]:
    """One line for each figure that the product says otherwise than the reference; an error is a line, too."""
    from tests import commands

    wanted = reference.attribute(folder, start, end)
    try:
        with commands.fresh_warehouse():
            commands.load(folder)
            commands.attribute(start, end, workers=workers)
            exports = commands.export(start, end)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return [f"error: {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"]
    return [
        *cost_differences(wanted, exports.costs()),
        *count_differences(wanted, exports.allocations),
        *charge_differences(wanted, exports.charges),
    ]


def cost_differences(wanted: reference.Result, got: dict[Any, Decimal]) -> Iterator[str]:
    want = {
        (f"{one.hour:%Y-%m-%dT%H:%M:%SZ}", one.key, one.cost_type, one.reason): one.cost
        for one in wanted.allocations
    }
    for cell in sorted(want.keys() | got.keys()):
        theirs, ours = want.get(cell, Decimal(0)), got.get(cell, Decimal(0))
        if abs(theirs - ours) > NEAR:
            yield f"cost of {cell}: reference {theirs:f}, product {ours:f}"
    total = sum(got.values(), Decimal(0))
    if total != wanted.charged:
        yield f"sum: charged {wanted.charged:f}, product {total:f}"


def count_differences(wanted: reference.Result, rows: Iterable[dict[str, str]]) -> Iterator[str]:
    from tests import commands

    want: dict[Any, tuple[Any, ...]] = {}
    for (hour, key), counts in wanted.counts.items():
        numbers = [getattr(counts, name) for name in COUNTS]
        want[f"{hour:%Y-%m-%dT%H:%M:%SZ}", key] = tuple(None if n is None else Fraction(n) for n in numbers)
    got: dict[Any, tuple[Any, ...]] = {}
    for row in rows:
        numbers = [row[name] for name in COUNTS]
        counted = tuple(Fraction(Decimal(n)) if n else None for n in numbers)
        if row["cost_type"] == "usage":
            got[row["period"], commands.key_of(row)] = counted
        elif any(counted):
            yield f"counts beside {row['cost_type']} of {commands.key_of(row)}: {counted}"
    for cell in sorted(want.keys() | got.keys()):
        for name, theirs, ours in zip(COUNTS, want.get(cell, [0] * 7), got.get(cell, [0] * 7), strict=True):
            if (theirs or 0) != (ours or 0) and not nearly(name, theirs, ours):
                yield f"{name} of {cell}: reference {theirs}, product {ours}"


def nearly(name: str, theirs: Any, ours: Any) -> bool:
    """Seconds are kept to 10^-9, request by request."""
    return name == "gpu_seconds" and abs((theirs or 0) - (ours or 0)) < Fraction(1, 10**7)


def charge_differences(wanted: reference.Result, rows: list[dict[str, str]]) -> Iterator[str]:
    """Both lists in the order of the bill within source, account and billing period."""

    def place(charge: reference.Charge) -> tuple[str, str, str]:
        row = charge.row
        return (
            f"{row['ProviderName']}/{row['BillingAccountId']}",
            row["BillingAccountId"],
            row["BillingPeriodStart"][:7],
        )

    charges = sorted(wanted.charges, key=place)
    if len(charges) != len(rows):
        yield f"charges: reference {len(charges)}, product {len(rows)}"
        return
    for charge, row in zip(charges, rows, strict=True):
        if reference.money(charge.cost) != Decimal(row["EffectiveCost"]):
            yield f"cost of a charge: reference {charge.cost}, product {row['EffectiveCost']}: {charge.row}"
        if not row["x_Disposition"] and not attributed(charge):
            continue
        rule = "" if row["x_Rule"].startswith("default:") else row["x_Rule"]
        if (charge.rule, charge.disposition) != (rule, row["x_Disposition"]):
            yield (
                f"charge {charge.rule!r} {charge.disposition}, "
                f"product {row['x_Rule']!r} {row['x_Disposition']!r}: {charge.row}"
            )


def attributed(charge: reference.Charge) -> bool:
    """Whether one of the charge's windows is in the days of the worlds."""
    if charge.end - charge.start <= reference.HOUR:
        return worlds.START <= charge.start.date() < worlds.END
    return charge.days[0] < worlds.END and charge.days[-1] >= worlds.START


def differences_of(world: worlds.World, workers: int = 1) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return differences(world.write(Path(folder)), workers=workers)


def kind(line: str) -> str:
    return " ".join(line.split()[:2])


def main(first: int, end: int, kept: Path) -> None:
    import django

    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(DJANGO_SETTINGS_MODULE="finops.settings", FINOPS_DATA_DIR=folder)
        django.setup()
        from django.core.management import call_command

        logging.disable(logging.WARNING)
        call_command("migrate", verbosity=0, interactive=False)
        for seed in range(first, end):
            begun = time.monotonic()
            world = worlds.draw_world(random.Random(seed))
            found = differences_of(world)
            print(seed, f"{time.monotonic() - begun:.2f} s", *found[:4], sep="\n  ", flush=True)  # noqa: T201
            if found:
                first_kind = kind(found[0])
                least = worlds.smallest(world, lambda w: first_kind in map(kind, differences_of(w)))  # noqa: B023
                where = least.write(kept / str(seed))
                print(f"  reduced to {where}", *differences_of(least)[:6], sep="\n  ", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3] if len(sys.argv) > 3 else "disagreements"))
