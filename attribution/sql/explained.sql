-- Grain: one row per group, unit and cost type behind the chosen cells, the largest first.
select trace.cost_type, trace.reason, trace.measure,
    bill.source, bill.billing_account, bill.billing_period, bill.service_category, bill.resource_id,
    bill.rule, bill.disposition, bill.target, bill.hourly, cast(bill.window_start as timestamp) as window_start, to_cost(bill.pico) as group_cost,
    coalesce(cost.unit, '') as unit, to_cost(cost.pico) as unit_cost, cost.busy, cost.assumed, cost.weight as unit_weight,
    sum(trace.weight)::hugeint as weight, count(*) as cells, to_cost(sum(trace.pico)::hugeint) as cost,
    bill.group_id
from trace
join charge_group as bill on bill.group_id = trace.group_id
left join busy_cost as cost on cost.cost_id = trace.cost_id
where {where}
group by all
order by abs(sum(trace.pico)) desc, bill.group_id, unit, trace.cost_type
