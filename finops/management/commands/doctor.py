"""`doctor`: is every source fresh, complete, reconciled?"""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from finops.core.command import Command as BaseCommand
from finops.core.errors import FinopsError
from finops.core.periods import parse_day
from finops.doctor import examine


class Command(BaseCommand):
    help = "Say of every source whether it is fresh, complete and reconciled; exit 1 where one is not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--today", metavar="DATE", help="what counts as today (UTC)")
        parser.add_argument(
            "--files", action="store_true", help="read every file of the warehouse: is it what was written?"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        today = parse_day(options["today"]) if options["today"] else datetime.now(UTC).date()
        answers = list(examine(today, options["files"]))
        for answer in answers:
            self.stdout.write(f"{'ok ' if answer.sound else 'BAD'}  {answer.text}")
        unsound = sum(not answer.sound for answer in answers)
        if unsound:
            raise FinopsError(f"needs attention: {unsound} of {len(answers)}")
