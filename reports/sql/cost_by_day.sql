-- Grain: one row per UTC day of [start, end) with a cost.
-- Rule:  the allocations that have all the values asked for.
-- Holds: the costs sum to those of these allocations.
select day, sum({cost})::DECIMAL(38, 12) as cost
from {allocations}
where day >= $start and day < $end and {where}
group by all
order by all
