"""Plain lines of JSON: those of which one pattern shows that each member is known and written as its field wants it.

They need no further look: what is a whole number is read as one, and a list as a list. No string in them has an
escape, and no number more digits than a double keeps. All other lines are read with care (`ingest.formats.requests`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from ingest.formats.lines import Lines

LOOKED_AT = 100  # lines that tell which members the others have

STRING = r'"[^"\\\x00-\x1f]*"'
WHOLE = r"-?(?:0|[1-9][0-9]{0,11})"  # a million times as much fits 64 bits
NUMBER = rf"{WHOLE}|-?(?:0|[1-9][0-9]{{0,7}})\.[0-9]{{1,6}}"


@dataclass(frozen=True)
class Kind:
    """How a field is written, the type as which it is read, and SQL of its value; `{0}` is the field."""

    pattern: str
    type: str | list[str]
    value: str


# By the macro (of ingest.formats.values) that reads such a field, where all that Python sees of it is of one type.
NATIVE: dict[tuple[str | None, type], Kind] = {
    ("whole", int): Kind(WHOLE, "BIGINT", "{0}"),
    ("micro", int): Kind(WHOLE, "BIGINT", "{0} * 1000000"),
    ("names", list): Kind(rf"\[(?:{STRING}(?:, ?{STRING})*)?\]", ["VARCHAR"], "sorted_names({0})"),
}
TEXT = Kind(rf"{STRING}|{NUMBER}|true|false", "VARCHAR", "{0}")


@dataclass(frozen=True)
class Parted:
    """Some lines of a file: the plain ones, with the fields that they may have, and the others."""

    kinds: dict[str, Kind]
    plain: pa.Table
    others: pa.Table
    packed: int

    @property
    def shape(self) -> str:
        """What DuckDB's json_transform reads the plain ones by."""
        return json.dumps({field: kind.type for field, kind in self.kinds.items()})


def parted(lines: Iterator[Lines], macros: Mapping[str, str | None]) -> Iterator[Parted]:
    """Lines parted into plain ones and others; `macros` has all fields. Where few are plain, none are sought."""
    sought = True
    for some in lines:
        kinds = _kinds(some.table, macros) if sought else {}
        none = some.table.slice(0, 0)
        if not kinds:
            yield Parted(kinds, none, some.table, some.packed)
            continue
        plain = pc.match_substring_regex(some.table["text"], rf"\A\{{{_members(kinds)}\}}[ \t\r\n]*\z")
        if pc.all(plain).as_py():
            yield Parted(kinds, some.table, none, some.packed)
        else:
            part = Parted(kinds, some.table.filter(plain), some.table.filter(pc.invert(plain)), some.packed)
            sought = part.plain.num_rows > part.others.num_rows
            yield part


def _kinds(lines: pa.Table, macros: Mapping[str, str | None]) -> dict[str, Kind]:
    """The fields that the first lines have, and how they are written there."""
    told: dict[str, set[type]] = {}
    for line in lines["text"].slice(0, LOOKED_AT).to_pylist():
        try:
            members = json.loads(line)
        except ValueError:
            continue
        for field, value in members.items() if isinstance(members, dict) else ():
            told.setdefault(field, set()).update([] if value is None else [type(value)])
    return {field: _kind(macro, told[field]) for field, macro in macros.items() if field in told}


def _kind(macro: str | None, written: set[type]) -> Kind:
    if len(written) == 1:
        (only,) = written
        if (macro, only) in NATIVE:
            return NATIVE[macro, only]
    return replace(TEXT, value=f"{macro}({{0}})") if macro else TEXT


def _members(kinds: Mapping[str, Kind]) -> str:
    """The pattern of one member or several."""
    alike: dict[str, list[str]] = {}
    for field, kind in kinds.items():
        alike.setdefault(kind.pattern, []).append(field)
    one = "|".join(rf'"(?:{"|".join(fields)})": ?(?:{pattern}|null)' for pattern, fields in alike.items())
    return rf"(?:{one})(?:, ?(?:{one}))*"
