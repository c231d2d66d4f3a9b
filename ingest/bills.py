"""Bills: a delivery replaces what was there for its (source, billing account, billing period)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.conf import settings

from finops.core import warehouse
from finops.core.datasets import DATASETS
from finops.core.money import all_digits
from finops.core.warehouse import NewFile
from ingest.formats import focus
from ingest.formats.tables import WIDE_ROWS, literal
from ingest.loading import Change, Context, Staged, remove, sql
from ingest.models import BilledPeriod, Delivery
from ingest.sources.files import Unreadable

BAD_SHARE = 20  # held where more than one row in so many is bad


@dataclass(frozen=True)
class Period:
    """One partition of the bill in one currency."""

    source: str
    billing_account: str
    billing_period: str
    currency: str
    rows: int
    billed: Decimal
    effective: Decimal
    first_day: date
    last_day: date
    newest_day: date

    @property
    def partition(self) -> str:
        return warehouse.partition("charges", self.source, self.billing_account, self.billing_period)


class Bill:
    """FOCUS files to charges."""

    def __init__(self) -> None:
        self.periods: list[Period] = []
        self.written: list[NewFile] = []

    def stage(self, context: Context) -> Staged:
        con = context.con
        con.execute("set preserve_insertion_order = false")  # every row has its file and line
        folder = context.spool / "bill"
        folder.mkdir(parents=True)
        size = max(sum(file.size for file in context.files), 1)
        rows = done = 0
        for number, piece in enumerate(focus.pieces(con, context.files, context.spool)):
            con.execute(f"create or replace temp view bill_text as {piece.text}")
            rows += con.execute(
                f"copy ({sql('charges')}) to {literal(str(folder / f'{number:05}.parquet'))} "
                f"(format parquet, row_group_size {WIDE_ROWS})",
                {"source": context.source or None, "currency": settings.FINOPS_CURRENCY},
            ).fetchall()[0][0]
            done += piece.packed
            context.report("reading the bill", rows, share=min(done / size, 1))
        if not rows:
            raise Unreadable(f"{', '.join(file.name for file in context.files)}: a header and no rows")
        con.execute(f"create view bill as select * from read_parquet({literal(str(folder))} || '/*.parquet')")
        con.execute("create view charge as select * from bill where unusable is null")
        bad, unusable = con.execute(
            "select count(*) filter (unusable is not null or defect is not null), "
            "count(*) filter (unusable is not null) from bill"
        ).fetchall()[0]
        self.periods = periods(context)
        staged = Staged(
            rows=rows - unusable,
            bad_rows=bad,
            problems="select file, line, coalesce(unusable, defect) as reason, unusable is null as loaded "
            "from bill where unusable is not null or defect is not null",
            file_rows=dict(con.execute("select file, count(*) from bill group by file").fetchall()),
            newest_day=max((period.newest_day for period in self.periods), default=None),
            totals=totals(self.periods),
        )
        if unusable:
            first, line, reason = con.execute(
                "select file, line, unusable from bill where unusable is not null order by file, line limit 1"
            ).fetchall()[0]
            staged.holds.append(
                f"{unusable} of {rows} rows cannot be used; the first: {first}, line {line}: {reason}"
            )
        if bad * BAD_SHARE > rows:
            staged.holds.append(f"{bad} of {rows} rows are bad, more than 5 %")
        return staged

    def change(self, context: Context, basis: int) -> Change:
        earlier = earlier_periods(self.periods)
        change = Change(
            rows=sum(period.rows for period in self.periods),
            holds=shrunk(self.periods, earlier),
            notes=[*differences(self.periods, earlier), *twice(self.periods)],
        )
        if not self.written:
            self.written = self._written(context)
        change.replaces += self.written
        change.beside = lambda snapshot: put_in_force(context.delivery, self.periods, snapshot)
        return change

    def _written(self, context: Context) -> list[NewFile]:
        spans: dict[str, list[Period]] = {}
        for period in self.periods:
            spans.setdefault(period.partition, []).append(period)
        return [_write(context, partition, parts) for partition, parts in spans.items()]

    def discard(self, kept: Sequence[NewFile]) -> None:
        if not kept:
            remove(self.written)


def _write(context: Context, partition: str, parts: list[Period]) -> NewFile:
    names = ", ".join(
        f"{context.delivery.pk} as delivery" if column == "delivery" else column
        for column in DATASETS["charges"].columns
    )
    return warehouse.write(
        context.con,
        "charges",
        partition,
        f"select {names} from charge where source = $source and billing_account = $account "
        "and billing_period = $period",
        {"source": parts[0].source, "account": parts[0].billing_account, "period": parts[0].billing_period},
        days=(min(part.first_day for part in parts), max(part.last_day for part in parts)),
    )


def periods(context: Context) -> list[Period]:
    """What the staged bill says about each partition and currency, in exact sums."""
    found = context.con.execute(sql("billed_periods")).fetchall()
    rest = _beyond_twelve_places(context)
    periods = []
    with all_digits():
        for source, account, month, currency, rows, billed, effective, first, last, newest in found:
            more = rest.get((source, account, month, currency), (Decimal(0), Decimal(0)))
            exact = (billed + more[0], effective + more[1])
            periods.append(Period(source, account, month, currency, rows, *exact, first, last, newest))
    return periods


def _beyond_twelve_places(context: Context) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    """By partition and currency, what rounding to 12 places took away; only such rows are read."""
    sums: dict[tuple[str, ...], tuple[Decimal, Decimal]] = {}
    reader = context.con.execute(sql("rounded_costs"))
    with all_digits():
        while rows := reader.fetchmany(10_000):
            for *name, billed_text, billed, effective_text, effective in rows:
                so_far = sums.get(tuple(name), (Decimal(0), Decimal(0)))
                sums[tuple(name)] = (
                    so_far[0] + Decimal(billed_text or 0) - billed,
                    so_far[1] + Decimal(effective_text) - effective,
                )
    return sums


def totals(periods: list[Period]) -> dict[str, tuple[str, str]]:
    """Effective and billed cost by currency, in the digits delivered."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    with all_digits():
        for period in periods:
            effective, billed = sums.get(period.currency, (Decimal(0), Decimal(0)))
            sums[period.currency] = (effective + period.effective, billed + period.billed)
    return {
        currency: (_shown(effective), _shown(billed))
        for currency, (effective, billed) in sorted(sums.items())
    }


def _shown(amount: Decimal, sign: str = "") -> str:
    """All its digits, without the zeros at the end."""
    with all_digits():
        return f"{amount.normalize():{sign}f}"


def earlier_periods(periods: list[Period]) -> dict[tuple[str, str, str], list[BilledPeriod]]:
    """What is in force for the same source, account and period."""
    wanted = {(period.source, period.billing_account, period.billing_period) for period in periods}
    found: dict[tuple[str, str, str], list[BilledPeriod]] = {}
    in_force = BilledPeriod.objects.filter(
        until_snapshot=None, source__in={source for source, _, _ in wanted}
    )
    for earlier in in_force:
        name = (earlier.source, earlier.billing_account, earlier.billing_period)
        if name in wanted:
            found.setdefault(name, []).append(earlier)
    return found


def twice(periods: list[Period]) -> list[str]:
    """A warning for each period of an account that is in force under another source, too: both count."""
    said = set()
    for period in periods:
        others = BilledPeriod.objects.filter(
            until_snapshot=None, billing_account=period.billing_account, billing_period=period.billing_period
        ).exclude(source=period.source)
        for other in others if period.billing_account else ():
            said.add(
                f"attention: {period.billing_period} of account {period.billing_account} is in force as source "
                f"{other.source}, too, and both count; to replace it give --source {other.source}"
            )
    return sorted(said)


@dataclass(frozen=True)
class Restated:
    """A billing period that was delivered before: its rows, and its effective cost by currency, then and now."""

    name: str
    rows: tuple[int, int]
    costs: dict[str, tuple[Decimal, Decimal]]


def restated(
    periods: list[Period], earlier: dict[tuple[str, str, str], list[BilledPeriod]]
) -> Iterator[Restated]:
    for (source, account, month), before in earlier.items():
        now = [
            p for p in periods if (p.source, p.billing_account, p.billing_period) == (source, account, month)
        ]
        costs = {
            currency: (
                sum((Decimal(p.effective_cost) for p in before if p.currency == currency), Decimal(0)),
                sum((p.effective for p in now if p.currency == currency), Decimal(0)),
            )
            for currency in sorted({p.currency for p in before} | {p.currency for p in now})
        }
        name = f"{month} of {source}" + (f", account {account}" if account not in source else "")
        yield Restated(name, (sum(p.rows for p in before), sum(p.rows for p in now)), costs)


def shrunk(periods: list[Period], earlier: dict[tuple[str, str, str], list[BilledPeriod]]) -> list[str]:
    """A reason to hold for each period that lost more than half of its rows or of its cost."""
    reasons = []
    with all_digits():
        for one in restated(periods, earlier):
            if one.rows[1] * 2 < one.rows[0]:
                reasons.append(f"{one.name} shrank from {one.rows[0]} rows to {one.rows[1]}")
            for currency, (before, now) in one.costs.items():
                if before > 0 and now * 2 < before:
                    reasons.append(f"{one.name} shrank from {_shown(before)} to {_shown(now)} {currency}")
    return reasons


def differences(periods: list[Period], earlier: dict[tuple[str, str, str], list[BilledPeriod]]) -> list[str]:
    """What is different in each period that was delivered before, in words."""
    said = []
    with all_digits():
        for one in restated(periods, earlier):
            costs = ", ".join(
                f"{_shown(before)} to {_shown(now)} {currency} ({_shown(now - before, '+')})"
                for currency, (before, now) in one.costs.items()
            )
            said.append(
                f"replaces {one.name}: {one.rows[0]:,} to {one.rows[1]:,} rows, effective cost {costs}"
            )
    return said


def put_in_force(delivery: Delivery, periods: list[Period], snapshot: int) -> None:
    """End what earlier deliveries said about these periods, and begin what this one says."""
    earlier = [one for same in earlier_periods(periods).values() for one in same]
    BilledPeriod.objects.filter(pk__in=[one.pk for one in earlier]).update(until_snapshot=snapshot)
    BilledPeriod.objects.bulk_create(
        BilledPeriod(
            delivery=delivery,
            source=period.source,
            billing_account=period.billing_account,
            billing_period=period.billing_period,
            currency=period.currency,
            rows=period.rows,
            billed_cost=f"{period.billed:f}",
            effective_cost=f"{period.effective:f}",
            newest_day=period.newest_day,
            since_snapshot=snapshot,
        )
        for period in periods
    )
    for replaced in Delivery.objects.filter(pk__in={one.delivery_id for one in earlier}).exclude(
        pk=delivery.pk
    ):
        if not replaced.periods.filter(until_snapshot=None).exists():
            replaced.state = Delivery.State.SUPERSEDED
            replaced.replaced_by = delivery
            replaced.save(update_fields=["state", "replaced_by"])
