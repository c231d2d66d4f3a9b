"""The ownership table: one owner of a name at a time."""

from collections.abc import Sequence

from finops.core import warehouse
from finops.core.errors import FinopsError
from finops.core.models import ManifestFile
from finops.core.warehouse import NewFile


class OwnersOverlap(FinopsError):
    """Two rows of one name are in force at the same time."""


def require_no_overlap(files: Sequence[ManifestFile | NewFile]) -> None:
    """Raises OwnersOverlap, naming both rows."""
    with warehouse.reading() as con:
        warehouse.view(con, "owners", files, temp=True)
        clash = con.execute(
            """
            with span as (
                select row_number() over () as number, *, coalesce(valid_from, timestamptz '0001-01-01') as since,
                    coalesce(valid_to, timestamptz '9999-01-01') as until
                from owners
            )
            select a.kind, a.name, a.team, a.valid_from, a.valid_to, b.team, b.valid_from, b.valid_to
            from span as a
            join span as b on a.kind = b.kind and a.name = b.name and a.number < b.number
                and a.since < b.until and b.since < a.until
            order by a.kind, a.name
            limit 1
            """
        ).fetchone()
    if clash:
        kind, name, team, since, until, other, other_since, other_until = clash
        raise OwnersOverlap(
            f"owners: two rows of {kind} {name} hold at the same time: team {team} ({since or 'open'} to "
            f"{until or 'open'}) and team {other} ({other_since or 'open'} to {other_until or 'open'})"
        )
