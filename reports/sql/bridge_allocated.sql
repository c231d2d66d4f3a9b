-- Grain: one row per source, billing account and cost type.
-- Rule:  the allocations of the billing period, in reporting currency.
-- Holds: every allocation of the period is in one row.
select source, billing_account, cost_type, sum(cost)::DECIMAL(38, 12) as cost
from allocation_days
where billing_period = $period
group by all
order by all
