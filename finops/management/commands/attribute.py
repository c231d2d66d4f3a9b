"""`attribute --start DATE --end DATE`: attribute the days, print the reconciliation."""

import os
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings

from attribution import queries, run
from finops.core import spans
from finops.core.command import PATIENCE
from finops.core.command import Command as Base
from finops.core.errors import UsageError
from finops.core.periods import ChargePeriod, in_spans, parse_day
from reports.billing_periods import newest_closed_snapshot


class Command(Base):
    help = "Attribute the days in [start, end); days whose inputs are unchanged are skipped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--start", required=True, metavar="YYYY-MM-DD", help="the first UTC day")
        parser.add_argument("--end", required=True, metavar="YYYY-MM-DD", help="the day after the last")
        parser.add_argument("--force", action="store_true", help="also days whose inputs are unchanged")
        parser.add_argument(
            "--workers",
            type=int,
            default=settings.FINOPS_CORES,
            help="days side by side (default: one a core)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        start, end = parse_day(options["start"]), parse_day(options["end"])
        if end <= start:
            raise UsageError(f"--end {end} must be after --start {start}: the end is not included")
        if self._called_from_command_line:
            os.nice(PATIENCE)
        days = list(ChargePeriod.days(start, end))
        with self.progress() as progress:
            report = run.attribute(
                days,
                force=options["force"],
                workers=max(1, options["workers"]),
                progress=lambda stage, day, done, total: progress(f"{stage} {day}", done, total, "days"),
                kept_until=newest_closed_snapshot(),
            )
        spans.compact(spans.LOOSE)
        self.stdout.write(
            f"{len(report.attributed)} days attributed, {len(report.unchanged)} unchanged, "
            f"{len(report.rolled_up)} rolled up."
        )
        for reason, because in _by_reason(report.reasons).items():
            self.stdout.write(f"  {len(because)} for {reason}: {in_spans(because)}")
        if report.rolled_up:
            self.stdout.write(f"  rolled up: {in_spans(report.rolled_up)}")
        self._reconciliation(start, end, days)

    def _reconciliation(self, start: date, end: date, days: Sequence[date]) -> None:
        totals = queries.reconciliation(start, end)
        width = max(len(name) for name in totals)
        for name, amount in totals.items():
            self.stdout.write(f"  {name:<{width}} {amount:>24,.12f} {settings.FINOPS_CURRENCY}")
        runs = queries.runs(start, end)
        waiting = [
            f"{day}: {runs[day].incomplete_reason}" for day in days if day in runs and not runs[day].complete
        ]
        if waiting:
            self.stdout.write(f"{len(waiting)} days are incomplete; the last: {waiting[-1]}")
        if totals["difference"] != Decimal(0):
            self.stderr.write("The allocations do not sum to the charges in scope.")


def _by_reason(reasons: Mapping[date, str]) -> dict[str, list[date]]:
    found: dict[str, list[date]] = {}
    for day, reason in sorted(reasons.items()):
        found.setdefault(reason, []).append(day)
    return found
