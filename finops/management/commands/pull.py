"""`pull`: load what is new in the landing zone."""

from typing import Any

from django.core.management.base import CommandError

from finops.core.command import Command as BaseCommand
from finops.management.commands.ingest import summary
from ingest import landing


class Command(BaseCommand):
    help = "Load the new files of landing/KIND/SOURCE/ in the data folder; each is one delivery."

    def handle(self, *args: Any, **options: Any) -> None:
        with self.progress() as progress:
            pulled = landing.pull(progress)
        for one in pulled:
            if one.outcome:
                self.stdout.write(summary(one.outcome))
            else:
                self.stderr.write(one.error)
        if not pulled:
            self.stdout.write(f"nothing new in {landing.folder()}")
        elif not any(one.outcome for one in pulled):
            raise CommandError("", returncode=1)
