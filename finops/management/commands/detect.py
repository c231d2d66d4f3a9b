"""manage.py detect: what is not normal, in the warehouse or in a file of series."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from finops.core.command import Command as BaseCommand
from finops.core.errors import UsageError


class Command(BaseCommand):
    help = (
        "Finds anomalies of daily cost, unit cost and idle cost in the warehouse, complete days only. "
        "With --input and --output: in any CSV of series_id,timestamp,value, each row "
        "from earlier rows alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--input", metavar="FILE", help="CSV to judge; - is standard input")
        parser.add_argument("--output", metavar="FILE", help="the CSV to write; - is standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["input"]) != bool(options["output"]):
            raise UsageError("--input and --output go together")
        if options["input"]:
            self.judge_file(options["input"], options["output"])
        else:
            self.judge_warehouse()

    def judge_file(self, source: str, target: str) -> None:
        from anomalies import series  # with pandas, which takes seconds to import

        with self.progress() as progress:
            found = series.judge_file(source, target, lambda done, total: progress("judged", done, total))
        summary = (
            f"{found.rows:,} rows in {found.series:,} series: {found.anomalies:,} anomalies; "
            f"{found.rows - found.judged:,} rows had too few before them to be judged"
        )
        (self.stderr if target == "-" else self.stdout).write(summary)

    def judge_warehouse(self) -> None:
        from anomalies import incidents  # likewise

        with self.progress() as progress:
            report = incidents.detect(lambda done, total: progress("judged", done, total, "slices"))
        if report.first is None:
            self.stdout.write("No complete day is attributed yet: nothing to judge.")
            return
        self.stdout.write(
            f"{report.slices:,} slices, complete days from {report.first} to {report.last}: "
            f"{len(report.found)} incidents, {report.new} of them new, {report.gone} no longer in the figures."
        )
        for incident in sorted(report.found, key=lambda one: -abs(one.impact)):
            cause = f"; {incident.factors[0]['factor']}" if incident.factors else ""
            self.stdout.write(
                f"  {incident.onset}  {incident.impact:>+12,.2f} {settings.FINOPS_CURRENCY}  {incident}{cause}"
            )
