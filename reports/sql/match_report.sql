-- Grain: one row per kind and name of what did not meet.
-- Rule:  the attributed days of [start, end); sums of cost and rows over them, and the remedy as the last day words it.
-- Holds: the costs sum to those that the runs of the days reported.
select kind, name,
    max_by(remedy, struct_pack(day, remedy)) as remedy,
    sum(cost)::DECIMAL(38, 12) as cost,
    sum(rows)::BIGINT as rows,
    count(distinct day) as days,
    min(day) as first_day,
    max(day) as last_day
from {unmatched}
where day >= $start and day < $end
group by all
order by abs(sum(cost)) desc, sum(rows) desc, kind, name
