"""manage.py send_owner_emails: the weekly mails, each owner's at most once."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from finops.core.command import Command as BaseCommand
from finops.core.errors import FinopsError
from finops.core.periods import parse_day
from reports import emails


class Command(BaseCommand):
    help = (
        "Sends each owner the mail of a week: cost and unit cost, the largest reasons, one thing to do. "
        "Goes to the server of EMAIL_URL, else into files. Never twice for one week."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--week", metavar="DATE", help="any day of the week; by default of the last one")
        parser.add_argument("--dry-run", metavar="DIR", help="write .eml files there, and send nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["dry_run"]
        outcome = emails.send(
            parse_day(options["week"]) if options["week"] else None, Path(folder) if folder else None
        )
        done = f"written to {folder}" if folder else "sent"
        others = {
            "were sent before": len(outcome.already),
            "owners want none": len(outcome.unsubscribed),
            "owners' teams cost nothing": len(outcome.nothing),
        }
        said = "".join(f", {number} {what}" for what, number in others.items() if number)
        count = len(outcome.sent)
        self.stdout.write(f"Week of {outcome.week}: {count} mail{'s' if count != 1 else ''} {done}{said}.")
        for email, begun in outcome.unknown.items():
            self.stderr.write(
                f"{email}: begun at {begun:%Y-%m-%d %H:%M:%S} UTC by a run that has not said whether it arrived; "
                "not sent again"
            )
        for email, error in outcome.failed.items():
            self.stderr.write(f"{email}: {error}")
        if outcome.failed and not outcome.sent:
            raise FinopsError("No mail could be sent.")
