"""What was measured, as a table in Markdown and as a plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Cost

FLOOR = (
    "The floor is DuckDB alone: reading the columns that attribution needs once, copying the log from Parquet to "
    "Parquet, or reading the JSON lines with the types told. CPU seconds hold the start of each command, about one."
)


@dataclass(frozen=True)
class Row:
    """One job's cost; `floor`: CPU seconds of the least, `goal`: how many times that it may be."""

    name: str
    cost: Cost
    floor: float | None = None
    goal: float | None = None

    @property
    def times(self) -> float | None:
        return self.cost.cpu / self.floor if self.floor else None

    def line(self) -> str:
        times = f"  {self.times:5.1f} x floor {self.floor:.2f}" if self.times else ""
        goal = f" (goal {self.goal:g})" if self.goal else ""
        return (
            f"{self.name:48} {self.cost.cpu:8.2f} CPU-s {self.cost.wall:8.2f} s "
            f"{self.cost.megabytes:6.0f} MB{times}{goal}"
        )


def write(folder: Path, rows: Sequence[Row], title: str) -> None:
    """`report.md` and `report.png` in the folder."""
    table = [
        f"{title}\n",
        f"{FLOOR}\n",
        "| job | CPU-s | s | MB at most | floor, CPU-s | times the floor | goal |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row.name} | {row.cost.cpu:.1f} | {row.cost.wall:.1f} | {row.cost.megabytes:.0f} | "
            f"{_number(row.floor, 2)} | {_number(row.times, 1)} | {_number(row.goal, 1)} |"
            for row in rows
        ),
    ]
    (folder / "report.md").write_text("\n".join(table) + "\n")
    _plot(folder / "report.png", rows, title)
    print(f"\n{folder / 'report.md'}\n{folder / 'report.png'}")


def _number(number: float | None, places: int) -> str:
    return "" if number is None else f"{number:.{places}f}"


def _plot(path: Path, rows: Sequence[Row], title: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.45 * len(rows) + 1.2), layout="constrained")
    names = [row.name for row in rows]
    axes.barh(names, [row.cost.cpu for row in rows], color="#2f6f8f", label="CPU seconds")
    axes.barh(names, [row.floor or 0 for row in rows], color="#e0a030", height=0.3, label="the floor")
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds")
    axes.set_title(title, fontsize=10)
    figure.legend(loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
