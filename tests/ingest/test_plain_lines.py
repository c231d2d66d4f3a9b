"""Lines that are plain are read by a shorter way, which must say the same as the careful one."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from finops.core import warehouse
from ingest.formats import plain, requests, values
from ingest.formats.lines import numbered_lines
from ingest.loading import sql
from ingest.sources.files import identified

USUAL = {
    "request_id": "r-1",
    "timestamp": "2026-09-07T10:00:00Z",
    "model": "chat",
    "tenant": "acmé",
    "gpu_uuid": ["a", "b"],
    "input_tokens": 10,
    "cached_input_tokens": 0,
    "gpu_ms": 21,
    "latency_ms": 7.25,
    "status": "200",
    "cached": False,
    "value": None,
}
FIELDS = (*USUAL, "ttft_ms", "team", "prompt")
TEXTS = (
    *('""', '"a"', '"é"', r'"\u00e9"', r'"a\"b"', '"[x"', '"[]"', '"a', '"tab\there"', '" 7 "', '"\x7f"'),
    *("0", "-0", "7", "-7", "007", "+7", "7.", ".5", "7.0", "1.50", "-0.5", "0.0000005", "99999999.999999"),
    *(
        "123456789012",
        "1234567890123",
        "12345678901234567890",
        "5.78100049999999999999",
        "1e3",
        "1E-7",
        "1e300",
    ),
    *(
        '"7"',
        '"7.0"',
        '"1_000"',
        '"0x10"',
        '"1e3"',
        '"+7"',
        '"inf"',
        "NaN",
        "true",
        "false",
        '"True"',
        "null",
    ),
    *(
        "[]",
        '["a"]',
        '["b", "a","b"]',
        '["a","b"]',
        '["",""]',
        "[null]",
        '["a",1]',
        '[["a"]]',
        '{"a": 1}',
        "[1,]",
    ),
    *('"2026-09-07 10:00:00.5+02"', '"2026-02-30T10:00:00Z"', '"2026-09-07"', "1788775200", "1788775200.25"),
)
SEPARATORS = (",", ", ", " ,", ",,")
ENDS = ("}", " }", "} ", "}\r", "}\f", "", "}x")

member = st.tuples(st.sampled_from(FIELDS), st.sampled_from(TEXTS))
line = st.builds(
    lambda base, members, between, colon, end: (
        "{" + between.join(f'"{name}"{colon}{text}' for name, text in (base | dict(members)).items()) + end
    ),
    st.sampled_from([{}, {name: json.dumps(value, ensure_ascii=False) for name, value in USUAL.items()}]),
    st.lists(member, max_size=2),
    st.sampled_from((*SEPARATORS[:2] * 4, *SEPARATORS[2:])),
    st.sampled_from((":", ": ", ":", ": ", " :")),
    st.sampled_from((*ENDS[:1] * 8, *ENDS[1:])),
)


def said(path):
    """All that is made of a log's lines, and the fields that are unknown."""
    with warehouse.connect() as con:
        values.define(con)
        found, unknown = [], {}
        for piece in requests.pieces(con, identified([path]), path.parent):
            found += con.execute(
                f"with log_text as ({piece.text}) select columns(*)::varchar from ({sql('requests')})"
            ).fetchall()
            for field, count in piece.unknown.items():
                unknown[field] = unknown.get(field, 0) + count
    return sorted(found, key=lambda row: int(row[1])), unknown


def parts(path):
    macros = {field: requests.VALUES.get(field) for field in requests.FIELDS}
    return list(plain.parted(numbered_lines(*identified([path])), macros))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.lists(line, min_size=1, max_size=60))
@example([f'{{"{field}":{text}}}' for field in FIELDS for text in TEXTS])
@example([json.dumps(USUAL) + end for end in ("", "\f", "\v", " \t\r")])
@example(['{"model":"a","model":"b","gpu_ms":null,"gpu_ms":5}', '{"gpu_ms":1,"gpu_ms":"x"}'])
def test_plain_lines_say_the_same_as_with_care(tmp_path, monkeypatch, lines):
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join([json.dumps(USUAL, ensure_ascii=False), *lines, ""]))
    with monkeypatch.context() as patch:
        patch.setattr(plain, "LOOKED_AT", 0)
        with_care = said(path)
    for looked_at in (1, 100):
        with monkeypatch.context() as patch:
            patch.setattr(plain, "LOOKED_AT", looked_at)
            assert said(path) == with_care


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        (json.dumps(USUAL, ensure_ascii=False), True),
        (json.dumps(USUAL, ensure_ascii=False, separators=(",", ":")) + "\r", True),
        ('{"input_tokens":null,"gpu_uuid":[]}', True),
        ('{"input_tokens":1.0}', False),
        ('{"input_tokens":"1"}', False),
        ('{"input_tokens":true}', False),
        ('{"latency_ms":1.0000001}', False),
        ('{"latency_ms":1.000001}', True),
        ('{"gpu_uuid":"a"}', False),
        ('{"tenant":"a\\\\b"}', False),
        ('{"team":"a"}', False),
        ('{"prompt":"a"}', False),
        ('{"tenant":"a",}', False),
        ("{}", False),
    ],
)
def test_a_line_is_plain_where_all_its_members_are_written_as_in_the_first(
    tmp_path, monkeypatch, text, is_plain
):
    monkeypatch.setattr(plain, "LOOKED_AT", 1)
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(USUAL, ensure_ascii=False) + "\n" + text)
    (part,) = parts(path)
    assert (part.plain.num_rows, part.others.num_rows) == (1 + is_plain, 1 - is_plain)


def test_where_few_lines_are_plain_none_are_sought_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.formats.lines.CHUNK", 300)
    monkeypatch.setattr("ingest.formats.lines.BATCH", 200)
    monkeypatch.setattr("ingest.sources.files.CHUNK", 100)
    path = tmp_path / "r.jsonl"
    path.write_text("".join(f'{{"model":"a","prompt":"{n:60}"}}\n' for n in range(9)) + '{"model":"a"}\n' * 9)
    found = parts(path)
    assert len(found) > 2
    assert sum(part.plain.num_rows for part in found) == 0
    assert [n for part in found for n in part.others["line"].to_pylist()] == list(range(1, 19))
