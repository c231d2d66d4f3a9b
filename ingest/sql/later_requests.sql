-- Grain: one row per repeated request that an earlier one of the same day and id goes before.
-- Rule:  of a request delivered twice the first counts, by delivery, file and line.
-- Holds: of each request all places but one are here; the same whatever order they came in.
select place
from (
    select repeated.place, row_number() over (
        partition by repeated.day, repeated.request_id
        order by repeated.delivery, delivered.number, repeated.line
    ) as nth
    from repeated
    left join delivered using (file)
)
where nth > 1
