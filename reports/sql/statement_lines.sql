-- Grain: one row per billing period and line of a statement.
-- Rule:  a line is a cost type, model, feature, pool and (of unallocated) reason; its charge period runs from its first
--        day with a cost to its last, both included.
-- Holds: the costs sum to the allocations of the periods exactly.
select period, statement, cost_type, model, feature, pool, reason,
    sum(cost)::DECIMAL(38, 12) as cost,
    min(day) as first_day,
    max(day) as last_day
from ({on_statements})
group by all
order by all
