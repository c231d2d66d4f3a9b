"""Cost centres: which one a statement's line is booked on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from duckdb import DuckDBPyConnection

from finops.core import warehouse
from finops.core.periods import ChargePeriod
from reports.lines import LineKey
from reports.queries import sql


@dataclass(frozen=True)
class CostCenters:
    """Cost centres as in force at a month's end."""

    of_team: Mapping[str, str] = field(default_factory=dict)
    of_feature: Mapping[tuple[str, str], str] = field(default_factory=dict)
    of_model: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def of(self, key: LineKey) -> str:
        """The team's own; else that of its feature, else of its model; else what all of its rows agree on."""
        team = key.team
        if not team:
            return ""
        agreed = {
            center
            for rows in (self.of_feature, self.of_model)
            for (owner, _), center in rows.items()
            if owner == team
        }
        return (
            self.of_team.get(team)
            or self.of_feature.get((team, key.feature))
            or self.of_model.get((team, key.model))
            or (agreed.pop() if len(agreed) == 1 else "")
        )


def cost_centers(con: DuckDBPyConnection, period: str, snapshot: int) -> CostCenters:
    warehouse.open_view(con, "owners", snapshot, temp=True)
    rows = con.execute(sql("cost_centers"), {"end": ChargePeriod.month(period).end}).fetchall()
    return CostCenters(
        of_team={name: center for kind, name, _, center in rows if kind == "team"},
        of_feature={(team, name): center for kind, name, team, center in rows if kind == "feature"},
        of_model={(team, name): center for kind, name, team, center in rows if kind == "model"},
    )
