"""`collect_garbage`: delete the files of the warehouse that nobody can ask for any more."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from finops import garbage
from finops.core import warehouse
from finops.core.command import Command as Base


class Command(Base):
    help = (
        f"Delete files that have not been in force for {settings.FINOPS_KEEP_DAYS} days and that no closed month and "
        "no explanation needs, and what killed processes left."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="delete nothing, list what would go")

    def handle(self, *args: Any, **options: Any) -> None:
        found = garbage.find()
        size = found.size / 1024**2
        if options["dry_run"]:
            for file in found.ended:
                self.stdout.write(f"{file.path}: in force until snapshot {file.until_snapshot}")
            for path in found.strays:
                self.stdout.write(f"{path.relative_to(warehouse.folder())}: never in force, or no longer")
            self.stdout.write(f"{len(found):,} files, {size:,.1f} MiB, would be deleted.")
            return
        found = garbage.collect()
        self.stdout.write(f"{len(found):,} files, {size:,.1f} MiB, deleted.")
