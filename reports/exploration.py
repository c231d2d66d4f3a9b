"""Explorations: figures by one key, dearest first, and how the dearest went over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from finops.core import warehouse
from reports.figures import MEASURES, Figures, total
from reports.queries import ALL, content, figures_by
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
        return total(figures for _, figures in self.rows)


def explore(
    selection: Selection, charted: Callable[[Ranked], Sequence[str]] = lambda rows: ()
) -> Exploration:
    """Figures by the selection's one key, or by period where it has none; `charted` picks the values shown over time."""
    snapshot = warehouse.latest()
    now = content(selection, snapshot)
    if not selection.by:
        periods = {period: one for (period,), one in figures_by(selection, ("period",), snapshot).items()}
        return Exploration(list(periods.items()), periods, {}, now)
    by = selection.by[0]
    if _is_small(selection):
        cells = figures_by(selection, ("period", by), snapshot, totals=True)
        rows = [(value, one) for (period, value), one in cells.items() if period == ALL]
        values = set(charted(rows))
        return Exploration(
            rows,
            {period: one for (period, value), one in cells.items() if value == ALL},
            {
                (period, value): one
                for (period, value), one in cells.items()
                if value in values and period != ALL
            },
            now,
        )
    periods = {period: one for (period,), one in figures_by(selection, ("period",), snapshot).items()}
    rows = [(value, one) for (value,), one in figures_by(selection, (by,), snapshot).items()]
    drawn = tuple(charted(rows))
    series = figures_by(selection, ("period", by), snapshot, drawn) if drawn else {}
    return Exploration(rows, periods, {(period, value): one for (period, value), one in series.items()}, now)


def ranked(rows: Ranked, by: str, sort: str) -> Ranked:
    """Rows in the order asked for: by a measure, by default the dearest first; periods one after the other."""
    if not by and not sort:
        return sorted(rows)
    measure = MEASURES[sort or "cost"][1]
    return sorted(rows, key=lambda row: (measure(row[1]) is None, -(measure(row[1]) or 0), row[0]))


def _is_small(selection: Selection) -> bool:
    """Whether all values over time are few enough to be read at once: two months of some dozens."""
    return (
        selection.grain != "hour"
        and "tenant" not in selection.by
        and (selection.grain == "month" or (selection.end - selection.start).days <= 62)
    )
