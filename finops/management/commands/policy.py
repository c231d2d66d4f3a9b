"""`policy apply FILE`, `policy show`, `policy preview FILE`: the attribution policy."""

import sys
from argparse import ArgumentParser
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings

from attribution.policy import PolicyError
from attribution.preview import GROUPS, Change, Preview, preview
from attribution.world import policy_text
from finops import policies, previews
from finops.core.command import Command as Base
from finops.core.errors import FinopsError, UsageError
from finops.core.money import minor_unit
from finops.core.periods import in_spans, parse_day, parse_month

SHOWN = 12  # names of a group


class Command(Base):
    help = "Apply, show or try out the attribution policy (TOML). Every text that is applied becomes a new version."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        apply = what.add_parser("apply", help="check a policy and put it in force")
        apply.add_argument("file", metavar="FILE", help="a TOML file; - is standard input")
        apply.add_argument(
            "--from",
            dest="month",
            metavar="YYYY-MM",
            help="the month from which it holds, after all that are closed (default: all days; where months are "
            "closed, from the first after them)",
        )
        apply.add_argument("--reason", default="", help="why, for the history")
        what.add_parser("show", help="print the policy in force")
        trial = what.add_parser(
            "preview", help="what days would cost under a policy, beside today's; changes nothing"
        )
        trial.add_argument("file", metavar="FILE", help="a TOML file; - is standard input")
        trial.add_argument("--start", required=True, metavar="YYYY-MM-DD", help="the first UTC day")
        trial.add_argument("--end", required=True, metavar="YYYY-MM-DD", help="the day after the last")
        trial.add_argument("--output", metavar="FILE", help="all names that differ, with all digits, as CSV")
        trial.add_argument(
            "--workers",
            type=int,
            default=settings.FINOPS_CORES,
            help="days side by side (default: one a core)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "show":
            version, text = policy_text()
            self.stdout.write(
                f"# version {version}\n{text}" if version else "# no policy was applied: the defaults hold"
            )
            return
        text = self._read(options["file"])
        try:
            if options["what"] == "apply":
                self._apply(text, options["month"], options["reason"])
            else:
                self._preview(text, options)
        except PolicyError as error:
            raise FinopsError(f"{options['file']}: {error}") from error

    def _read(self, file: str) -> str:
        try:
            raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FinopsError(f"{file}: not a text in UTF-8: {error}") from error

    def _apply(self, text: str, month: str | None, reason: str) -> None:
        holds_from = parse_month(month) if month else None
        applied = policies.apply_to_open_months(text, holds_from=holds_from, reason=reason[:400])
        since = f" from {applied.holds_from:%Y-%m} on" if applied.holds_from else ""
        if since and not month:
            since += ", the first month after all that are closed, which keep theirs"
        self.stdout.write(
            f"Policy version {applied.version} is in force{since}; `attribute` applies it to the days that you name."
            if applied.is_new
            else f"Policy version {applied.version} is in force already; nothing changed."
        )

    def _preview(self, text: str, options: dict[str, Any]) -> None:
        start, end = parse_day(options["start"]), parse_day(options["end"])
        if end <= start:
            raise UsageError(f"--end {end} must be after --start {start}: the end is not included")
        with self.progress() as progress:
            found = preview(
                text,
                start,
                end,
                workers=max(1, options["workers"]),
                progress=lambda stage, day, done, total: progress(f"{stage} {day}", done, total, "days"),
            )
        self._show(found)
        if options["output"]:
            Path(options["output"]).write_text(previews.as_csv(found), encoding="utf-8", newline="")

    def _show(self, found: Preview) -> None:
        currency = settings.FINOPS_CURRENCY
        self.stdout.write(f"{len(found.days)} days from {found.days[0]} to {found.days[-1]}, in {currency}.")
        if late := previews.waiting(found):
            self.stdout.write(
                f"  {in_spans(late)} wait to be attributed: what came since their last run is not in it"
            )
        for reason in found.reasons or ["the policies say the same"]:
            self.stdout.write(f"  {reason}")
        for rule in found.rules[:SHOWN]:
            self.stdout.write(
                f"  {_money(rule.cost)} of charges: {rule.rule} ({rule.goes}) -> {rule.then_rule} ({rule.then_goes})"
            )
        self.stdout.write(f"{'':<40} {'now':>18} {'then':>18} {'difference':>18}")
        self._line("allocated", Change("", found.total_now, found.total_then))
        for group in GROUPS:
            if found.changes[group]:
                self.stdout.write(f"by {group.replace('_', ' ')}")
                table = found.table(group, minor_unit(currency), SHOWN)
                for change in table.rows:
                    self._line(change.name or "(none)", change)
                for change in table.rest:
                    self._line(change.name, change, f"{change.difference:+,f}")
                self._line(table.total.name, table.total)
        self.stdout.write("Nothing was changed. Closed months keep the policy that they were closed with.")

    def _line(self, name: str, change: Change, difference: str = "") -> None:
        """`difference`: in all its digits, where two say nothing."""
        self.stdout.write(
            f"  {name:<38} {_money(change.now):>18} {_money(change.then):>18} "
            f"{difference or _money(change.difference, sign='+'):>18}"
        )


def _money(amount: Decimal, sign: str = "") -> str:
    return f"{amount:{sign}z,.2f}"
