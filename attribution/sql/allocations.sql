-- Grain: one row per hour, key, cost type and bill: an allocation, its key and its bill by number.
create table bill as
select group_id, dense_rank() over (order by source, billing_account, billing_period, service_category) as bill_id,
    source, billing_account, billing_period, service_category
from charge_group;

create table allocation as
select hour, cell_key, cost_type, reason, measure, '' as pool, bill_id, sum(pico)::hugeint as pico
from direct_part
join bill using (group_id)
group by hour, cell_key, cost_type, reason, measure, bill_id
having sum(pico) <> 0
union all
select coalesce(hour, $day_start), coalesce(cell_key, 1),
    case when cell_key is null then 'unallocated' else 'shared' end,
    case when cell_key is null then 'no_driver' else '' end,
    '', pool, bill_id, sum(share_pico)::hugeint
from pool_split_shared
join bill using (group_id)
group by hour, cell_key, pool, bill_id
having sum(share_pico) <> 0;
