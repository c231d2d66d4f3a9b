-- Grain: one row per line of a statement and day whose cost is no longer what it was.
-- Rule:  `was` are the allocations of an earlier snapshot, `now` of a later one; days that did not change may be left out of both.
-- Holds: the sum of now - was is the line's change between the snapshots.
select statement, cost_type, model, feature, pool, reason, day, source, billing_account, service_category,
    sum(was)::DECIMAL(38, 12) as was,
    sum(now)::DECIMAL(38, 12) as now
from (
    select *, cost as was, 0::DECIMAL(38, 12) as now from ({was})
    union all
    select *, 0::DECIMAL(38, 12) as was, cost as now from ({now})
)
group by all
having sum(was) <> sum(now)
order by all
