"""Request logs: of a request delivered twice the first counts."""

from collections import Counter
from collections.abc import Iterator
from types import MappingProxyType

from finops.core.datasets import DATASETS, HASHES, KEYS, PLACES
from ingest.days import DayLoader, Piece
from ingest.formats import requests
from ingest.loading import Context, Staged, sql
from ingest.sources.files import InputFile, Unreadable

# Datasets of names, each with the number that stands for a name, and a second one that tells whether it is the same.
_NAMED = {"key_names": ("key_hash", "key_check"), "place_names": ("place_hash", "place_check")}

# What a row has for a field that its log does not have: the column and its value.
_LACKING = {
    **{
        name: (name, "null")
        for name in ("input_tokens", "cached_input_tokens", "output_tokens", "batch_size", "value")
    },
    **{f"{name}_ms": (f"{name}_micro_ms", "null") for name in ("gpu", "latency", "ttft", "queue")},
    "predictions": ("predictions", "1"),
    "cached": ("cached", "false"),
}


class RequestLog(DayLoader):
    """Canonical request logs to requests."""

    dataset = "requests"
    reads = "log_text"
    rows = "requests"
    derived = MappingProxyType(
        {
            "hour": "date_part('hour', \"time\")",
            **HASHES,
            "key_check": f"hash({', '.join(reversed(KEYS))})",
            "place_check": f"hash({', '.join(reversed(PLACES))})",
        }
    )
    checked = MappingProxyType({"key_check": "UBIGINT", "place_check": "UBIGINT"})
    order = ('"time"', "line")
    identity = ("request_id",)
    loses = "later_requests"
    names = MappingProxyType(
        {
            "named_resources": "select distinct source, day, 'request' as kind, '' as uuid, [resource_id] as names "
            "from named_place_names where resource_id <> '' and (day, place_hash) in (select day, place_hash from {rows})",
            **{
                dataset: f"from named_{dataset} where (day, {number}) in (select day, {number} from {{rows}})"
                for dataset, (number, _) in _NAMED.items()
            },
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.unknown: Counter[str] = Counter()

    def form(self, file: InputFile) -> str:
        return requests.form(file)

    def pieces(self, context: Context) -> Iterator[Piece]:
        for piece in requests.pieces(context.con, context.files, context.spool):
            self.unknown.update(piece.unknown)
            same = {_LACKING[field][0]: _LACKING[field][1] for field in _LACKING if field in piece.lacks}
            yield Piece(piece.text, piece.packed, piece.first, same)

    def stage(self, context: Context) -> Staged:
        for dataset, (_, check) in _NAMED.items():
            columns = {**DATASETS[dataset].columns, check: self.checked[check]}
            declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            context.con.execute(f"create table named_{dataset} ({declared})")
        return super().stage(context)

    def read(self, context: Context, piece: Piece, held: int) -> int:
        """Keep the names that the piece's rows go without, as well."""
        count = super().read(context, piece, held)
        con = context.con
        for dataset, (number, check) in _NAMED.items():
            con.execute(sql("numbered").format(dataset=dataset, number=number, check=check, held=held))
            if con.execute(f"from numbered_{dataset} where same limit 1").fetchall():
                raise Unreadable(f"two different rows of {dataset} have the same {number}")
        first = " union all ".join(
            f"select file, line from numbered_{dataset} where new" for dataset in _NAMED
        )
        ((new,),) = con.execute(f"create or replace temp table {requests.FIRST} as {first}").fetchall()
        if new:
            con.execute(f"create or replace temp table first_row as {self.rows_of(context, piece.first)}")
        for dataset, (_, check) in _NAMED.items() if new else ():
            columns = ", ".join((*DATASETS[dataset].columns, check))
            con.execute(
                f"insert into named_{dataset} select {columns} from first_row "
                f"semi join (from numbered_{dataset} where new) using (file, line)"
            )
        return count

    def notes(self) -> list[str]:
        """Which fields were ignored, and in how many rows, where rows have fields of their own."""
        if not self.unknown:
            return []
        shown = sorted(self.unknown.items())[:8]
        names = ", ".join(f"{name} ({rows:,})" if rows else name for name, rows in shown)
        return [f"{len(self.unknown)} unknown fields ignored: {names}"]
