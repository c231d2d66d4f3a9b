"""`explain --start --end [--where KEY=VALUE]`: the charges, rules, units, weights and requests behind a figure."""

from argparse import ArgumentParser
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings

from attribution.evidence import RequestsBehind
from attribution.explain import FILTERS, ExplainedDay, ExplainedShare, explain
from attribution.queries import published
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
        parser.add_argument(
            "--requests",
            type=int,
            default=5,
            metavar="N",
            help="requests shown behind the largest share of a day that requests decided (default 5)",
        )
        parser.add_argument(
            "--unit", default="", help="show the requests behind this unit's largest share instead"
        )
        parser.add_argument(
            "--snapshot",
            type=int,
            help="the figures as a snapshot of the warehouse published them, such as a closed month's",
        )

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
        for name in ("limit", "requests"):
            if options[name] < 0:
                raise UsageError(f"--{name} {options[name]}: expected 0 or more")
        snapshot = published(options["snapshot"]) if options["snapshot"] is not None else None
        found = matched = 0
        total = Decimal(0)
        for day in explain(start, end, where, limit=options["limit"], snapshot=snapshot):
            found += 1
            total += day.total
            matched += len(day.shares) + day.rest_count
            self.stdout.write(f"{day.day}: {day.total:,.12f} {settings.FINOPS_CURRENCY}")
            self._state(day)
            for share in day.shares:
                self._share(share)
            if day.rest_count:
                self.stdout.write(f"  and {day.rest_count} smaller shares, together {day.rest:,.12f}")
            if options["requests"] > 0:
                self._requests(day, options)
        if not found:
            raise FinopsError(f"no day from {start} to before {end} has been attributed")
        if not matched:
            named = " and ".join(f"{name}={value}" for name, value in where.items())
            raise FinopsError(f"no cost from {start} to before {end}{' has ' if named else ''}{named}")
        if found > 1:
            self.stdout.write(
                f"{start} to before {end}, {found} days: {total:,.12f} {settings.FINOPS_CURRENCY}"
            )

    def _state(self, day: ExplainedDay) -> None:
        state = day.state
        read = f" of {state.snapshot.created:%Y-%m-%d %H:%M} UTC" if state.snapshot else ""
        self.stdout.write(f"  inputs of snapshot {state.run.computed_from}{read}")
        policy = state.policy
        applied = (
            f", applied {policy.applied_at:%Y-%m-%d %H:%M} UTC"
            + (f" by {policy.applied_by}" if policy.applied_by else "")
            + (f": {policy.reason}" if policy.reason else "")
            if policy
            else ""
        )
        self.stdout.write(
            f"  policy version {state.run.policy_version}{applied}; idle goes to: {state.idle_policy}"
        )
        owners = ", ".join(f"{one.kind} {one.name}: {one.team or 'no team'}" for one in state.owners[:8])
        more = f" and {len(state.owners) - 8} more" if len(state.owners) > 8 else ""
        if state.owners_since:
            self.stdout.write(
                f"  owners of snapshot {state.owners_since.pk}{': ' if owners else ''}{owners}{more}"
            )

    def _requests(self, day: ExplainedDay, options: Mapping[str, Any]) -> None:
        wanted = options["unit"]
        share = next(
            (
                one
                for one in day.shares
                if one.measure and one.unit and (not wanted or wanted in (one.unit, one.unit_name))
            ),
            None,
        )
        if share is None:
            if wanted:
                raise UsageError(
                    f"--unit {wanted!r} is none of the units shown for {day.day} that served requests"
                )
            return
        found = day.behind(share, options["requests"])
        if found:
            self._behind(share, found)

    def _behind(self, share: ExplainedShare, found: RequestsBehind) -> None:
        window = f"{share.window_start:%H:%M}" if share.hourly and not found.span else "the day"
        self.stdout.write(
            f"  requests behind {share.cost_type} of {share.unit_name}, {window}: {found.count:,}, whose weights by "
            f"{found.measure} sum to {found.weighed} of {found.weight}, and their shares to {found.cost:,.12f}"
        )
        for one in found.requests:
            tokens = " ".join(
                f"{name} {number}"
                for name, number in (
                    ("input", one.input_tokens),
                    ("cached", one.cached_input_tokens),
                    ("output", one.output_tokens),
                )
                if number is not None
            )
            gpu = f" gpu {one.gpu_ms:f} ms" if one.gpu_ms is not None else ""
            self.stdout.write(
                f"    {one.request_id} {one.time:%H:%M:%S.%f} {one.model} {one.tenant or 'no tenant'} {one.status}"
                f"{' from cache' if one.cached else ''} {tokens}{gpu}: weight {one.weight}, {one.cost:,.12f}"
            )

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
