-- Grain: one row per day and number of the names that a piece's rows have, with the place of the first of them.
-- Holds: `new` where the name is not kept yet; `same` where one number stands for two names.
create or replace temp table numbered_{dataset} as
with found as (
    select day, {number}, min(place) as place, min({check}) as {check}, max({check}) as other
    from piece_rows
    where place >= {held} and reason is null
    group by day, {number}
)
select piece.file, piece.line, found.day, found.{number}, named.day is null as new,
    found.{check} <> found.other or coalesce(found.{check} <> named.{check}, false) as same
from found
join piece_rows as piece on piece.place = found.place
left join named_{dataset} as named on named.day = found.day and named.{number} = found.{number};
