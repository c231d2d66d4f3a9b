-- Grain: one row per chosen charge and UTC day: its part of that day, the largest first.
select day, source, billing_account, file, line, service_name, resource_id, rule, disposition, target,
    original_cost, original_currency, cost
from {chosen}
order by abs(coalesce(cost, original_cost)) desc, day, source, billing_account, file, line
limit $limit offset $offset
