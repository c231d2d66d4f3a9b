"""Hosts, owners and rates: a delivery replaces the table, as a new version."""

from collections.abc import Sequence

from finops.core import warehouse
from finops.core.datasets import DATASETS
from finops.core.warehouse import NewFile
from ingest.formats.catalogue import catalogue_text
from ingest.formats.tables import literal
from ingest.loading import Change, Context, Staged, remove, sql
from ingest.models import Delivery
from ingest.sources.files import Unreadable


def end_earlier(delivery: Delivery) -> None:
    """What was in force of this table, whatever its source, no longer is."""
    Delivery.objects.filter(kind=delivery.kind, state=Delivery.State.LOADED).exclude(pk=delivery.pk).update(
        state=Delivery.State.SUPERSEDED, replaced_by=delivery
    )


class Catalogue:
    """One of the small tables, whichever the delivery's kind names."""

    def __init__(self) -> None:
        self.written: list[NewFile] = []
        self.rows = 0

    def stage(self, context: Context) -> Staged:
        con, kind = context.con, str(context.delivery.kind)
        folder = context.spool / kind
        folder.mkdir(parents=True)
        for number, file in enumerate(context.files):
            text = catalogue_text(con, kind, file, context.spool)
            con.execute(f"create or replace temp view catalogue_text as {text}")
            con.execute(
                f"copy ({sql(kind)}) to {literal(str(folder / f'{number:05}.parquet'))} (format parquet)"
            )
        con.execute(
            f"create view staged as select * from read_parquet({literal(str(folder))} || '/*.parquet')"
        )
        con.execute("create view good as select * from staged where reason is null")
        read, self.rows = con.execute(
            "select count(*), count(*) filter (reason is null) from staged"
        ).fetchall()[0]
        if not read:
            names = ", ".join(file.name for file in context.files)
            raise Unreadable(f"{names}: there are no rows; an empty table of {kind} is not put in force")
        conflicts = con.execute(sql(f"overlapping_{kind}")).fetchall()
        if conflicts:
            more = f", and {len(conflicts) - 1} more such pairs" if len(conflicts) > 1 else ""
            raise Unreadable(f"{conflicts[0][0]}{more}")
        return Staged(
            rows=self.rows,
            bad_rows=read - self.rows,
            problems="select file, line, reason, false as loaded from staged where reason is not null",
        )

    def change(self, context: Context, basis: int) -> Change:
        kind = str(context.delivery.kind)
        columns = ", ".join(DATASETS[kind].columns)
        if not self.written:
            self.written = [warehouse.write(context.con, kind, "all", f"select distinct {columns} from good")]
        return Change(
            replaces=self.written, rows=self.written[0].rows, beside=lambda _: end_earlier(context.delivery)
        )

    def discard(self, kept: Sequence[NewFile]) -> None:
        if not kept:
            remove(self.written)
