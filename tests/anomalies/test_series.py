import csv
import gzip

import pytest
import zstandard
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.django_db


def write_series(path, rows):
    path.write_text("series_id,timestamp,value\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))


def judged(source, target):
    call_command("detect", input=str(source), output=str(target))
    with target.open(newline="") as stream:
        return list(csv.DictReader(stream))


def hourly(name, count=200, spike=150):
    for hour in range(count):
        value = 10 + (hour % 24) / 4 + (hour * 7 % 5) / 10
        yield (
            name,
            f"2026-03-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z",
            value + (20 if hour == spike else 0),
        )


def test_rows_come_back_in_their_order_with_what_was_expected(tmp_path):
    a, b = list(hourly("a")), list(hourly("b", spike=170))
    mixed = [row for pair in zip(a, b, strict=True) for row in pair]
    write_series(tmp_path / "in.csv", mixed)
    rows = judged(tmp_path / "in.csv", tmp_path / "out.csv")
    assert list(rows[0]) == [
        "series_id", "timestamp", "value", "expected", "lower", "upper", "score", "is_anomaly",
    ]  # fmt: skip
    assert [(row["series_id"], row["timestamp"], float(row["value"])) for row in rows] == mixed
    flagged = [(row["series_id"], row["timestamp"]) for row in rows if row["is_anomaly"] == "true"]
    assert flagged == [("a", a[150][1]), ("b", b[170][1])]
    assert rows[0]["expected"] == rows[0]["score"] == ""
    last = rows[-1]
    assert float(last["lower"]) <= float(last["expected"]) <= float(last["upper"])


def test_a_file_that_grows_keeps_its_first_lines(tmp_path):
    rows = list(hourly("a", 300))
    write_series(tmp_path / "short.csv", rows[:170])
    write_series(tmp_path / "long.csv", rows)
    short = judged(tmp_path / "short.csv", tmp_path / "short.out")
    assert judged(tmp_path / "long.csv", tmp_path / "long.out")[:170] == short


def test_packed_files_unix_times_further_columns_and_missing_values_are_read(tmp_path):
    lines = ["note,value,timestamp,series_id"]
    lines += [f"x,{'' if n == 5 else 3 + n % 2},{1_772_000_000 + 60 * n},a" for n in range(40)]
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    rows = judged(tmp_path / "in.csv.gz", tmp_path / "out.csv")
    assert len(rows) == 40
    assert rows[5]["value"] == rows[5]["expected"] == ""
    assert rows[39]["expected"] != ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("series_id,time,value\na,2026-01-01,1\n", "line 1: column timestamp is missing"),
        ("series_id,timestamp,value\na,yesterday,1\n", "line 2, column timestamp: 'yesterday' is not a time"),
        ("series_id,timestamp,value\na,2026-01-01,much\n", "line 2, column value: 'much' is not a number"),
        ("series_id,timestamp,value\na,2026-01-01\n", "line 2: 2 columns; expected 3"),
        ("", "line 1: column series_id is missing"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place_and_nothing_is_written(tmp_path, text, said):
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(CommandError, match=said) as failure:
        call_command("detect", input=str(tmp_path / "in.csv"), output=str(tmp_path / "out.csv"))
    assert failure.value.returncode == 1
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.compress])
def test_a_packed_file_that_is_cut_off_writes_nothing(tmp_path, packed):
    text = "series_id,timestamp,value\n" + "".join(
        f"a,{1_772_000_000 + 60 * n},{n * n}\n" for n in range(5000)
    )
    whole = packed(text.encode())
    (tmp_path / "in.csv").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CommandError, match=r"in\.csv: line \d+: cannot be unpacked"):
        call_command("detect", input=str(tmp_path / "in.csv"), output=str(tmp_path / "out.csv"))
    assert list(tmp_path.glob("out*")) == []


def test_an_output_is_packed_as_its_name_says(tmp_path):
    write_series(tmp_path / "in.csv", hourly("a", 40))
    call_command("detect", input=str(tmp_path / "in.csv"), output=str(tmp_path / "out.csv"))
    for name, unpacked in (("out.csv.gz", gzip.decompress), ("out.csv.zst", unzstd)):
        call_command("detect", input=str(tmp_path / "in.csv"), output=str(tmp_path / name))
        assert unpacked((tmp_path / name).read_bytes()) == (tmp_path / "out.csv").read_bytes()


def unzstd(content):
    return zstandard.ZstdDecompressor().stream_reader(content).read()


def test_an_empty_table_stays_one(tmp_path):
    write_series(tmp_path / "in.csv", [])
    assert judged(tmp_path / "in.csv", tmp_path / "out.csv") == []


def test_input_without_output_is_wrong_usage(tmp_path):
    with pytest.raises(CommandError) as failure:
        call_command("detect", input="x.csv")
    assert failure.value.returncode == 2
