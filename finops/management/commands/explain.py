"""`explain --start --end [--where KEY=VALUE]`: the charges, rules, units and weights behind a figure."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from attribution.explain import FILTERS, ExplainedShare, explain
from finops.core.command import Command as Base
from finops.core.errors import FinopsError, UsageError
from finops.core.periods import parse_day


class Command(Base):
    help = "Show where the cost of some cells came from, replayed at the snapshot that each day was computed from."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--start", required=True, metavar="YYYY-MM-DD", help="the first UTC day")
        parser.add_argument("--end", required=True, metavar="YYYY-MM-DD", help="the day after the last")
        parser.add_argument(
            "--where",
            nargs="+",
            default=[],
            action="extend",
            metavar="KEY=VALUE",
            help=f"of {', '.join(FILTERS)}",
        )
        parser.add_argument("--limit", type=int, default=20, help="shares shown a day, the largest first")

    def handle(self, *args: Any, **options: Any) -> None:
        where = {}
        for condition in options["where"]:
            name, equals, value = condition.partition("=")
            if not equals:
                raise UsageError(f"--where {condition!r}: expected KEY=VALUE")
            where[name] = value
        start, end = parse_day(options["start"]), parse_day(options["end"])
        if end <= start:
            raise UsageError(f"--end {end} must be after --start {start}: the end is not included")
        found = 0
        for day in explain(start, end, where, limit=options["limit"]):
            found += 1
            self.stdout.write(
                f"{day.day}: {day.total:,.12f} {settings.FINOPS_CURRENCY}   policy version {day.run.policy_version}, "
                f"idle {day.idle_policy}, inputs of snapshot {day.run.computed_from}"
            )
            for share in day.shares:
                self._share(share)
            if day.rest_count:
                self.stdout.write(f"  and {day.rest_count} smaller shares, together {day.rest:,.12f}")
        if not found:
            raise FinopsError(f"no day from {start} to {end} has been attributed")

    def _share(self, share: ExplainedShare) -> None:
        window = (
            f"{share.window_start:%Y-%m-%d %H:%M}"
            if share.hourly
            else f"{share.window_start:%Y-%m-%d} whole day"
        )
        what = share.cost_type + (f" ({share.reason})" if share.reason else "")
        self.stdout.write(f"  {share.cost:,.12f} {what}, window {window}")
        target = f" {share.target}" if share.target else ""
        self.stdout.write(
            f"    rule {share.rule}: {share.disposition}{target}; {share.source} {share.billing_account} "
            f"{share.billing_period} {share.resource_id or 'no resource'}: {share.group_cost:,.12f}"
        )
        if share.unit:
            busy = f"{(share.busy or 0) / 10_000:.4f} % busy" + (" (assumed)" if share.assumed else "")
            self.stdout.write(f"    unit {share.unit_name}: {share.unit_cost:,.12f}, {busy}")
        if share.weight:
            measure = share.measure or "pool driver"
            whole = f" of {share.unit_weight}" if share.unit_weight else ""
            self.stdout.write(f"    by {measure}: weight {share.weight}{whole} in {share.cells} cells")
        for charge in share.charges[:5]:
            original = (
                "" if charge.cost == charge.original_cost else f" ({charge.original_cost} {charge.currency})"
            )
            self.stdout.write(
                f"    {charge.file}:{charge.line} {charge.service_name} {charge.cost:,.12f}{original}"
            )
        if len(share.charges) > 5:
            self.stdout.write(f"    and {len(share.charges) - 5} more charges")
