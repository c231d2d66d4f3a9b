"""The worked scenarios of ../shared/conformance, through the commands, as their README says."""

from collections import defaultdict
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path

import pytest

from finops.core.datasets import KEYS
from tests import commands

CONFORMANCE = Path(__file__).resolve().parents[2] / "shared" / "conformance"
SCENARIOS = sorted(CONFORMANCE.glob("*/expected.csv"))
START, END = date(2026, 9, 6), date(2026, 9, 10)
BY = KEYS[:8]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_core")]


def rounded(cost: str) -> Decimal:
    with localcontext(prec=60):
        return Decimal(cost).quantize(Decimal("1e-12"), rounding=ROUND_HALF_UP)


@pytest.mark.skipif(not SCENARIOS, reason="the worked scenarios (../shared/conformance) are not here")
@pytest.mark.parametrize("expected", SCENARIOS, ids=lambda path: path.parent.name)
def test_a_worked_scenario_comes_out_of_the_commands_as_written(expected: Path) -> None:
    commands.load(expected.parent)
    commands.attribute(START, END)
    exports = commands.export(START, END, by=BY)

    got: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for (period, key, cost_type, _), cost in exports.costs().items():
        got[period, *key, cost_type] += cost
    want = {
        (row["period"], *(row[key] for key in BY), row["cost_type"]): Decimal(row["cost"])
        for row in commands.rows_of(expected)
    }
    off = {
        cell: (got.get(cell, Decimal(0)), want.get(cell, Decimal(0)))
        for cell in got.keys() | want.keys()
        if abs(got.get(cell, Decimal(0)) - want.get(cell, Decimal(0))) > Decimal("1e-6")
    }
    assert not off

    bill = commands.rows_of(expected.parent / "billing.csv")
    assert len(exports.charges) == len(bill)
    assert all(charge["x_Disposition"] for charge in exports.charges)
    charged = sum(
        Decimal(charge["EffectiveCost"])
        for charge in exports.charges
        if charge["x_Disposition"] not in ("exclude", "unconverted")
    )
    assert sum(got.values()) == charged
    delivered = sorted(rounded(row["EffectiveCost"]) for row in bill)
    assert sorted(Decimal(charge["EffectiveCost"]) for charge in exports.charges) == delivered
