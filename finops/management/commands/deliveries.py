"""`deliveries list|show|accept|reject`: what arrived, and the release of what is held."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandParser

from finops.core.command import Command as BaseCommand
from finops.core.errors import UsageError
from finops.management.commands.ingest import summary
from ingest import queries
from ingest.deliveries import accept, reject
from ingest.models import Delivery


class Command(BaseCommand):
    help = "What arrived; a held delivery is accepted or rejected here."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        listed = actions.add_parser("list", help="the newest deliveries first")
        listed.add_argument("--held", action="store_true", help="only those that wait for a decision")
        listed.add_argument("--limit", type=int, default=30, metavar="N")
        self._numbered(actions.add_parser("show", help="one delivery: its files, periods and problems"))
        self._numbered(actions.add_parser("accept", help="load a held delivery as it is"))
        rejecting = self._numbered(actions.add_parser("reject", help="refuse a held delivery"))
        rejecting.add_argument("--reason", default="", help="kept with the delivery")

    @staticmethod
    def _numbered(parser: ArgumentParser) -> ArgumentParser:
        parser.add_argument("id", type=int, metavar="ID")
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            self._list(options["held"], options["limit"])
        elif options["action"] == "show":
            self._show(options["id"])
        elif options["action"] == "accept":
            with self.progress() as progress:
                self.stdout.write(summary(accept(options["id"], progress)))
        else:
            delivery = reject(options["id"], options["reason"])
            self.stdout.write(f"delivery {delivery.pk} is rejected; what was there before stays in force")

    def _list(self, held: bool, limit: int) -> None:
        found = queries.deliveries(state=Delivery.State.HELD if held else None, limit=limit)
        if not found:
            self.stdout.write("no delivery is held" if held else "nothing was delivered yet")
        for delivery in found:
            line = (
                f"{delivery.pk:>5}  {delivery.started:%Y-%m-%d %H:%M}  {delivery.kind:<8}  {delivery.state:<10}  "
                f"{delivery.rows:>10,} rows  {delivery.bad_rows:>6,} bad  {delivery.source or 'by row'}"
            )
            self.stdout.write(f"{line}  {delivery.message}".rstrip())

    def _show(self, number: int) -> None:
        delivery = queries.delivery(number)
        if delivery is None:
            raise UsageError(f"there is no delivery {number}; see `deliveries list`")
        self.stdout.write(f"{delivery.kind} delivery {delivery.pk}: {delivery.state}")
        if delivery.message:
            self.stdout.write(f"  {delivery.message}")
        self.stdout.write(
            f"  {delivery.rows:,} rows, {delivery.bad_rows:,} bad, {delivery.duplicate_rows:,} repeated"
        )
        if delivery.total:
            self.stdout.write(f"  effective cost: {delivery.total}")
        for file in delivery.files.all():
            self.stdout.write(f"  file {file.name}  {file.size:,} bytes  sha256 {file.sha256}")
        for period in delivery.periods.all():
            state = (
                "in force"
                if period.until_snapshot is None
                else f"replaced at snapshot {period.until_snapshot}"
            )
            self.stdout.write(
                f"  {period.billing_period} {period.source}: {period.rows:,} rows, "
                f"effective {period.effective_cost} {period.currency}, billed {period.billed_cost}; {state}"
            )
        problems = queries.problems(delivery.pk, limit=50)
        for problem in problems:
            self.stdout.write(f"  {problem}{' (loaded)' if problem.loaded else ''}")
        if delivery.bad_rows > len(problems):
            self.stdout.write(f"  … and {delivery.bad_rows - len(problems):,} more")
