"""How texts become values, as SQL macros: the same for every format.

A number goes from its text straight to a decimal, half up away from zero; never through a double.
"""

import duckdb

NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*$"

MACROS = (
    # NULL, as exports spell it.
    "present(t) as case when trim(t) in ('', 'NULL', 'null', 'Null', 'None', 'NaN', 'nan', '\"\"', '[]') "
    "then null else t end",
    f"is_number(t) as regexp_full_match(t, '{NUMBER}')",
    # A plain number fits 64 bits, fifty times as fast. Not so one with an exponent: DuckDB 2.0 loses digits there.
    "money(t) as case when regexp_full_match(t, '[+-]?[0-9]{0,5}([.][0-9]*)?') then try_cast(t as decimal(18, 12)) "
    "when is_number(t) then try_cast(trim(t) as decimal(38, 12)) end",
    "six_places(t) as case when regexp_full_match(t, '[+-]?[0-9]{0,11}([.][0-9]*)?') "
    "then try_cast(t as decimal(18, 6)) when is_number(t) then try_cast(trim(t) as decimal(38, 6)) end",
    "percent(t) as case when regexp_full_match(t, '[+-]?[0-9]{0,12}([.][0-9]*)?') "
    "then try_cast(t as decimal(18, 4)) when is_number(t) then try_cast(trim(t) as decimal(38, 4)) end",
    # Millionths, and whole numbers that may be written 21073.0. The bounds keep what no duration and no count
    # can be from leaving 64 bits. Most are written as a plain number: that is seen first, and fast.
    "is_whole(t) as try_cast(t as bigint)::varchar = t",
    "as_micro(d) as case when abs(d) < 9000000000000 then cast(d * 1000000 as bigint) end",
    "micro(t) as case when length(t) < 13 and is_whole(t) then try_cast(t as bigint) * 1000000 "
    "when regexp_full_match(t, '[0-9]{1,6}[.][0-9]*') "
    "then cast(try_cast(t as decimal(18, 6)) * 1000000 as bigint) "
    "when is_number(t) then as_micro(try_cast(trim(t) as decimal(38, 6))) end",
    "as_whole(d) as case when abs(d) < 9000000000000000000 and d = trunc(d) then cast(d as bigint) end",
    "whole(t) as case when is_whole(t) then try_cast(t as bigint) "
    "when is_number(t) then as_whole(try_cast(trim(t) as decimal(38, 6))) end",
    # A time: RFC 3339 (no zone is UTC), or Unix seconds, or from 10^11 on milliseconds.
    "utc(t) as make_timestamptz(epoch_us(t))",
    "unix_time(n) as case when n >= 0 and n < 10000000000000 then make_timestamptz("
    "try_cast(case when n >= 100000000000 then n * 1000 else n * 1000000 end as bigint)) end",
    # Hours 24 to 47 are of the day after: FOCUS' own examples write 2023-02-01T30:00:00Z.
    # Most are written with their seconds: that is seen first, and fast.
    "is_calendar(t) as case when t like '2___-__-_____:__:__%' then true else trim(t) like '____-__-__%' end",
    "calendar_time(t) as case when is_calendar(t) "
    "then coalesce(try_cast(t as timestamptz), try_cast(upper(t) as timestamptz), "
    r"try_cast(regexp_replace(t, '[Tt ](2[4-9]|3\d|4[0-7]):', 'T00:') as timestamptz) "
    r"+ to_hours(try_cast(nullif(regexp_extract(t, '[Tt ](2[4-9]|3\d|4[0-7]):', 1), '') as integer))) end",
    "moment(t) as case when is_calendar(t) then calendar_time(t) "
    "when is_number(t) then unix_time(try_cast(trim(t) as decimal(38, 6))) end",
    # A list of names, or one, or several as JSON: sorted, each once, none empty. Most lists are in order already:
    # to see that costs a quarter of putting them in order.
    "is_ascending(l) as list_reduce(l, lambda one, next: case when one < next then next end) is not null",
    "sorted_names(l) as case when l is null then []::varchar[] when len(l) = 1 and l[1] <> '' then l "
    "when l[1] <> '' and is_ascending(l) then l else list_sort(list_filter(list_distinct(l), lambda x: x <> '')) end",
    # The lambda of one list has it parsed once, however often it is looked at.
    "names(t) as case when coalesce(t, '') = '' then []::varchar[] when t[1] <> '[' then [t] "
    "when json_valid(t) then list_transform([from_json(case when json_valid(t) then t end, '[\"VARCHAR\"]')], "
    "lambda l: sorted_names(l))[1] end",
    "utc_day(m) as cast(make_timestamp(epoch_us(m)) as date)",
)


def define(con: duckdb.DuckDBPyConnection) -> None:
    """Make the macros known to this connection."""
    for macro in MACROS:
        con.execute(f"create or replace macro {macro}")
