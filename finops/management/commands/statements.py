"""The chargeback month's life: list, close, reopen, export."""

import getpass
import sys
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.utils import timezone

from finops.core.access import EVERYTHING
from finops.core.command import Command as FinopsCommand
from finops.core.errors import FinopsError
from reports import billing_periods, closing, statements
from reports.ledger import ledger_csv


class Command(FinopsCommand):
    help = "Statements of a billing period: list, close, reopen (as the next version), export for the ledger."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listed = actions.add_parser("list", help="all months, or one month's statements")
        listed.add_argument("period", nargs="?", metavar="PERIOD", help="a billing period, YYYY-MM")
        close = actions.add_parser("close", help="freeze a month's statements")
        reopen = actions.add_parser("reopen", help="open a closed month again; its version stays readable")
        export = actions.add_parser("export", help="a month's lines as CSV, with the cost centre of each")
        close.add_argument("--running", action="store_true", help="although the month is not over")
        for action in (close, reopen, export):
            action.add_argument("period", metavar="PERIOD", help="a billing period, YYYY-MM")
        reopen.add_argument("--reason", required=True, help="why; kept with the version that was closed")
        for action in (close, reopen):
            action.add_argument("--by", help="who does it (default: the user of this process)")
        for action in (listed, export):
            action.add_argument(
                "--version", type=int, dest="version_number", help="an earlier close of the month"
            )
        export.add_argument("-o", "--output", default="-", metavar="FILE", help="default: standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        if options["period"]:
            return self._show(statements.month(options["period"], EVERYTHING, options["version_number"]))
        found = billing_periods.months()
        if not found:
            self.stdout.write("There is no bill yet: ingest one with `ingest billing FILE`.")
        for one in found:
            self.stdout.write(f"{one.period}  {one.state:<6}  version {one.version}")
            for closed in one.versions:
                self.stdout.write(
                    f"  version {closed.version}: closed {_moment(closed.closed_at, closed.closed_by)}"
                )
                if closed.reopened_at:
                    reopened = _moment(closed.reopened_at, closed.reopened_by)
                    self.stdout.write(f"    reopened {reopened}: {closed.reason}")

    def _close(self, options: dict[str, Any]) -> None:
        today = timezone.now().date()
        if closing.still_runs(options["period"], today) and not options["running"]:
            raise FinopsError(
                f"{options['period']} still runs: its later charges would become corrections of the month after. "
                "With --running it is closed all the same."
            )
        closed = closing.close(options["period"], options["by"] or _who())
        for caution in closing.cautions(options["period"], today):
            self.stderr.write(caution)
        self._show(statements.month(options["period"], EVERYTHING, closed.version))

    def _reopen(self, options: dict[str, Any]) -> None:
        closed = closing.reopen(options["period"], options["by"] or _who(), options["reason"])
        self.stdout.write(
            f"{closed.period} is open again; version {closed.version} stays readable, "
            f"the next close makes version {closed.version + 1}"
        )

    def _export(self, options: dict[str, Any]) -> None:
        text = ledger_csv(statements.month(options["period"], EVERYTHING, options["version_number"]))
        if options["output"] == "-":
            self.stdout.write(text, ending="")
        else:
            Path(options["output"]).write_text(text, encoding="utf-8", newline="")
            print(f"wrote {options['output']}", file=sys.stderr)

    def _show(self, month: statements.Month) -> None:
        self.stdout.write(f"{month.period}, {month.state}, version {month.version}, {month.currency}")
        width = max((len(one.name) for one in month.statements), default=0)
        self.stdout.write(f"  {'':<{width}}  {'charges':>14}  {'corrections':>14}  {'statement':>14}")
        for one in month.statements:
            self.stdout.write(
                f"  {one.name:<{width}}  {one.charged:>14,}  {one.corrected:>14,}  {one.amount:>14,}"
            )
        self.stdout.write(
            f"  {'Total':<{width}}  {month.charged:>14,}  {month.corrected:>14,}  {month.amount:>14,}"
        )


def _moment(at: datetime, by: str) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC by {by}"


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return "command line"
