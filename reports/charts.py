"""What plotly.js is told to draw. Colours are names of the style sheet's tokens: the page knows its theme.

Figures become floats here and nowhere else: a pixel has no cents, and each chart has its table.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from anomalies.queries import Detail
from reports.exploration import Exploration, Ranked
from reports.figures import ADDITIVE, COST_TYPES, MEASURES, Figures
from reports.filters import ExplorerQuery
from reports.overview import Overview

DAYS = {"type": "date", "tickformat": "%-d %b", "hoverformat": "%A, %-d %B %Y"}
HOURS = {"type": "date", "tickformat": "%H:%M\n%-d %b", "hoverformat": "%-d %B %Y, %H:%M UTC"}
SMALL = ".3~r"  # three digits that say something
MOST_SERIES = 8  # more colours than that nobody tells apart


def _layout(unit: str, places: str = ",.2f") -> dict[str, Any]:
    """`places` is how d3 writes a figure under the pointer; the legend is the page's own."""
    axis = {"zeroline": False, "automargin": True, "linecolor": "--line", "tickcolor": "--line"}
    return {
        "barmode": "relative",
        "bargap": 0.28,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "--surface", "bordercolor": "--line", "font": {"color": "--text"}},
        "showlegend": False,
        "xaxis": {**axis, "showgrid": False, "fixedrange": True},
        "yaxis": {
            **axis,
            "gridcolor": "--line",
            "title": {"text": unit, "font": {"size": 11}},
            "rangemode": "tozero",
            "fixedrange": True,
            "separatethousands": True,
            "exponentformat": "none",
            "hoverformat": places,
        },
    }


def _bars(
    name: str,
    x: Sequence[str],
    y: Sequence[float | None],
    colour: str,
    opacity: Sequence[float] | float = 1.0,
) -> dict[str, Any]:
    marker = {"color": colour, "opacity": opacity}
    return {"type": "bar", "name": name, "x": list(x), "y": list(y), "marker": marker}


def _line(
    name: str, x: Sequence[str], y: Sequence[float | None], colour: str, dash: str = "solid"
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(x) < 3 else "lines",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": {"color": colour, "width": 2, "dash": dash},
        "connectgaps": False,
    }


def _float(value: Decimal | int | None) -> float | None:
    return None if value is None else float(value)


def daily_cost(overview: Overview, currency: str) -> dict[str, Any]:
    """The month by cost type, incomplete days faint, and the same days of the month before as a line."""
    days = sorted(overview.days)
    faint = [0.45 if date.fromisoformat(day) in overview.incomplete else 1.0 for day in days]
    nothing = Figures()
    data = [
        _bars(
            kind.capitalize(),
            days,
            [_float(getattr(overview.days.get(day, nothing), kind)) for day in days],
            f"--{kind}",
            faint,
        )
        for kind in COST_TYPES
        if any(getattr(figures, kind) for figures in overview.days.values())
    ]
    aligned = {
        (overview.span.start + (date.fromisoformat(day) - overview.before.start)).isoformat(): figures
        for day, figures in overview.days_before.items()
    }
    before = [aligned.get(day) for day in days]
    if overview.days_before:
        data.append(
            _line(
                f"{overview.before.start:%B}, same day",
                days,
                [_float(figures.cost) if figures else None for figures in before],
                "--text",
                "dot",
            )
        )
    layout = _layout(currency)
    layout["xaxis"] |= DAYS
    return {"data": data, "layout": layout}


def incident(detail: Detail, currency: str) -> dict[str, Any]:
    """Actual by day, and the band of what was expected on the days that were not normal."""
    days = [point.day.isoformat() for point in detail.points]
    band = {
        "type": "scatter",
        "mode": "lines",
        "line": {"width": 0, "color": "--series-9"},
        "hoverinfo": "skip",
    }
    upper = [_float(point.upper) for point in detail.points]
    lower = [_float(point.lower) for point in detail.points]
    data = [
        {**band, "x": days, "y": upper, "showlegend": False},
        {**band, "x": days, "y": lower, "fill": "tonexty", "fillcolor": "--band", "name": "Expected range"},
        _line("Expected", days, [_float(point.expected) for point in detail.points], "--series-9", "dot"),
        _line("Actual", days, [_float(point.actual) for point in detail.points], "--series-1"),
    ]
    layout = _layout(currency, SMALL if detail.incident.metric == "unit_cost" else ",.2f")
    layout["xaxis"] |= DAYS
    return {"data": data, "layout": layout}


def charted(ranked: Ranked, measure: str) -> list[str]:
    """The values that get a colour: the first, and no line without one point."""
    named = [value for value, one in ranked if measure in ADDITIVE or MEASURES[measure][1](one) is not None]
    return named[:MOST_SERIES]


def exploration(
    found: Exploration, query: ExplorerQuery, values: Sequence[str], currency: str
) -> dict[str, Any]:
    """The measure over time: bars where it can be stacked, else lines."""
    periods = sorted(found.periods)
    label, measure = MEASURES[query.measure]
    counted = query.measure in ("requests", "predictions")
    places = "," if counted else ",.2f" if query.measure in ADDITIVE else SMALL
    layout = _layout(label.lower() if counted else currency, places)
    if query.grain == "month":
        layout["xaxis"]["type"] = "category"
    else:
        layout["xaxis"] |= DAYS if query.grain == "day" else HOURS
    if not query.by:
        kinds = COST_TYPES if query.measure == "cost" else (query.measure,)
        data = [
            (_bars if query.measure in ADDITIVE else _line)(
                MEASURES[kind][0],
                periods,
                [_float(MEASURES[kind][1](found.periods[period])) for period in periods],
                f"--{kind}" if kind in COST_TYPES else "--series-1",
            )
            for kind in kinds
        ]
        return {"data": data, "layout": layout}
    nothing = Figures()
    drawn = [[measure(found.series.get((period, value), nothing)) for period in periods] for value in values]
    draw = _bars if query.measure in ADDITIVE else _line
    data = [
        draw(
            value or f"(no {query.by.replace('_', ' ')})",
            periods,
            list(map(_float, line)),
            f"--series-{number}",
        )
        for number, (value, line) in enumerate(zip(values, drawn, strict=True), 1)
    ]
    rest = len(found.rows) - len(values)
    if rest and query.measure in ADDITIVE:
        others = [
            (measure(found.periods[period]) or 0) - sum(one or 0 for one in shown)
            for period, *shown in zip(periods, *drawn, strict=True)
        ]
        data.append(_bars(f"{rest} others", periods, list(map(_float, others)), "--series-9"))
    return {"data": data, "layout": layout}
