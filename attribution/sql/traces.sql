-- Grain: one row per group, unit and cell that money went to: what an allocation is the sum of.
create table trace as
with part as (
    select usage_piece.group_id, usage_piece.cost_id, split.hour, request_cell.cell_key, usage_piece.cost_type,
        '' as reason, usage_piece.measure, split.weight, split.share_pico as pico
    from usage_split_shared as split
    join usage_piece using (piece)
    join request_cell using (key_id)
    union all by name
    select group_id, piece as cost_id, hour, reduced_cell.cell_key, 'idle' as cost_type, '' as reason, measure, weight,
        share_pico as pico
    from idle_split_shared
    join reduced_cell using (reduced_id)
    union all by name
    select group_id, cost_id, window_start as hour, 1 as cell_key, 'idle' as cost_type, '' as reason, '' as measure,
        idle_pico as pico
    from busy_cost
    where $idle_policy = 'platform' and idle_pico <> 0
    union all by name
    select split.group_id, stranded.cost_id, split.hour, day_key.cell_key, split.cost_type, split.reason,
        split.measure, split.weight, split.share_pico as pico
    from stranded_split_shared as split
    join stranded using (piece)
    join {reduced_day_key} using (model, team, environment, region)
    union all by name
    select group_id, coalesce(hour, $day_start) as hour, coalesce(cell_key, 1) as cell_key,
        case when cell_key is null then 'unallocated' else 'shared' end as cost_type,
        case when cell_key is null then 'no_driver' else '' end as reason,
        '' as measure, weight, share_pico as pico
    from pool_split_shared
)
select part.group_id, coalesce(part.cost_id, 0) as cost_id, part.hour, {keys}, part.cost_type, part.reason,
    part.measure, coalesce(part.weight, 0)::hugeint as weight, part.pico
from part
join day_key using (cell_key)
where part.pico <> 0;

-- Grain: the same, with the columns of an allocation.
create view traced as
select trace.*, bill.source, bill.billing_account, bill.billing_period, bill.service_category,
    case when bill.disposition = 'pool' then bill.target else '' end as pool
from trace
join charge_group as bill on bill.group_id = trace.group_id;
