"""Request logs: of a request delivered twice the first counts."""

from collections import Counter
from collections.abc import Iterator
from types import MappingProxyType

from finops.core.datasets import HASHES, KEYS, PLACES
from ingest.days import DayLoader, Piece
from ingest.formats import requests
from ingest.loading import Context
from ingest.sources.files import InputFile


class RequestLog(DayLoader):
    """Canonical request logs to requests."""

    dataset = "requests"
    reads = "log_text"
    rows = "requests"
    derived = MappingProxyType({"hour": "date_part('hour', \"time\")", **HASHES})
    # A number sorts in half the time of a name.
    ranked = (
        "select * from piece join (select tenant, row_number() over (order by tenant)::integer as rank "
        "from (select distinct tenant from piece)) using (tenant)"
    )
    order = ("rank", '"time"', "line")
    identity = ("request_id",)
    loses = "later_requests"
    names = MappingProxyType(
        {
            "named_resources": "select distinct source, day, 'request' as kind, '' as uuid, [resource_id] as names "
            "from {rows} where resource_id <> ''",
            "key_names": f"select distinct source, day, key_hash, {', '.join(KEYS)} from {{rows}}",
            "place_names": f"select distinct source, day, place_hash, {', '.join(PLACES)} from {{rows}}",
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
            yield Piece(piece.text, piece.packed)

    def notes(self) -> list[str]:
        """Which fields were ignored, and in how many rows, where rows have fields of their own."""
        if not self.unknown:
            return []
        shown = sorted(self.unknown.items())[:8]
        names = ", ".join(f"{name} ({rows:,})" if rows else name for name, rows in shown)
        return [f"{len(self.unknown)} unknown fields ignored: {names}"]
