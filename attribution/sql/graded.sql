-- Grain: one row per unit on which requests succeeded, with the best measure that all of them had.
-- Reads: unit_sets and request_weights of one day alone.
create table graded_{when} as
select *, case {measure} else 'requests' end as measure
from (
    select member.unit, {measure_counts}
    from unit_sets as member
    join (
        select unit_set, succeeded, {with_measures}, sum(requests) as requests
        from request_weights
        group by unit_set, succeeded, {with_measures}
    ) as weights using (unit_set)
    group by member.unit
)
where succeeded > 0;
