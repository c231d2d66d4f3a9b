-- Grain: one row per owner of a name and span, as far as it touches the day.
create table owner_now as
select kind, name, team, coalesce(valid_from, timestamptz '0001-01-01') as valid_from,
    coalesce(valid_to, timestamptz '9999-01-01') as valid_to
from owners
where (valid_from is null or valid_from < $day_end) and (valid_to is null or valid_to > $day_start);
