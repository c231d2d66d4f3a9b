"""`compact`: gather the days of each month into files that pages read fast."""

from typing import Any

from finops.core import spans
from finops.core.command import Command as Base


class Command(Base):
    help = "Gather the days of each month into files that pages read fast; what is up to date stays."

    def handle(self, *args: Any, **options: Any) -> None:
        with self.progress() as progress:
            done = spans.compact(progress=lambda month, at, of: progress(f"{month:%Y-%m}", at, of, "months"))
        self.stdout.write(f"{len(done)} months compacted{': ' + ', '.join(done) if done else ''}.")
