"""Explorations: figures by one key, dearest first, and how the dearest went over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from finops.core import warehouse
from reports.figures import MEASURES, Figures, total
from reports.queries import OTHERS, content, figures_by
from reports.selection import Selection

Ranked = list[tuple[str, Figures]]
MOST_ROWS = 200  # that a page shows; one more stands for the others


@dataclass(frozen=True)
class Exploration:
    """What the explorer shows: a row for each value, and over time their sum and the values that a chart can tell apart."""

    rows: Ranked
    periods: dict[str, Figures]
    series: dict[tuple[str, str], Figures]  # (period, value)
    content: str  # of the files that it was read from

    @cached_property
    def total(self) -> Figures:
        return total(figures for _, figures in self.periods.items() or self.rows)


def explore(selection: Selection, charted: Callable[[Ranked], Sequence[str]] | None = None) -> Exploration:
    """Figures by the selection's one key, or by period where it has none; over time where `charted` picks the values
    of the key that are told apart there."""
    snapshot = warehouse.latest()
    now = content(selection, snapshot)
    if not selection.by:
        periods = {period: one for (period,), one in figures_by(selection, ("period",), snapshot).items()}
        return Exploration(list(periods.items()), periods, {}, now)
    by = selection.by[0]
    rows = [(value, one) for (value,), one in figures_by(selection, (by,), snapshot).items()]
    if charted is None:
        return Exploration(rows, {}, {}, now)
    return Exploration(rows, *_over_time(selection, charted(rows), snapshot), now)


def _over_time(
    selection: Selection, values: Sequence[str], snapshot: int
) -> tuple[dict[str, Figures], dict[tuple[str, str], Figures]]:
    """The sums of the periods, and of each the figures of these values of the selection's key."""
    by = selection.by[0]
    if by == "tenant":  # of many: those of a few are quicker found than told apart from the others
        periods = figures_by(selection, ("period",), snapshot)
        few = replace(selection, where={**selection.where, by: tuple(values)})
        series = figures_by(few, ("period", by), snapshot) if values else {}
        return {period: one for (period,), one in periods.items()}, {
            (period, value): one for (period, value), one in series.items()
        }
    sums: dict[str, Figures] = {}
    apart: dict[tuple[str, str], Figures] = {}
    for (period, value), one in figures_by(selection, ("period", by), snapshot, values).items():
        sums[period] = sums.get(period, Figures()) + one
        if value != OTHERS:
            apart[period, value] = one
    return sums, apart


def ranked(rows: Ranked, by: str, sort: str) -> Ranked:
    """Rows in the order asked for: by a measure, by default the dearest first; periods one after the other."""
    if not by and not sort:
        return sorted(rows)
    measure = MEASURES[sort or "cost"][1]
    return sorted(rows, key=lambda row: ((of := measure(row[1])) is None, -(of or 0), row[0]))
