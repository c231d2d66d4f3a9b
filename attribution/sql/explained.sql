-- Grain: one row per group, unit and cost type behind the chosen cells, the largest first.
with chosen as (
    select group_id, cost_id, cost_type, reason, measure, sum(weight)::hugeint as weight, count(*) as cells,
        sum(pico)::hugeint as pico
    from traced
    where {cells}
    group by group_id, cost_id, cost_type, reason, measure
)
select chosen.cost_type, chosen.reason, chosen.measure,
    bill.source, bill.billing_account, bill.billing_period, bill.service_category, bill.resource_id,
    bill.rule, bill.disposition, bill.target, bill.hourly, cast(bill.window_start as timestamp) as window_start,
    to_cost(bill.pico) as group_cost,
    coalesce(cost.unit, '') as unit, to_cost(cost.pico) as unit_cost, cost.busy, cost.assumed, cost.weight as unit_weight,
    chosen.weight, chosen.cells, to_cost(chosen.pico) as cost,
    bill.group_id
from chosen
join charge_group as bill on bill.group_id = chosen.group_id
left join busy_cost as cost on cost.cost_id = chosen.cost_id
order by abs(chosen.pico) desc, bill.group_id, unit, chosen.cost_type
