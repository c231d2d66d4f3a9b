-- Grain: one row per group, unit, cost type and cell of the window.
-- Rule:  a unit's usage follows the weights of the requests it served; so does its idle under `spread`.
create table usage_split as
select 2 * cost.cost_id as piece, 'usage' as cost_type, cost.group_id, cost.usage_pico as piece_pico,
    cell.hour, cell.key_id, cost.measure, cell.weight,
    row_number() over (partition by cost.cost_id order by cell.hour, cell.key_id) as seq
from busy_cost as cost
join window_weight as cell using (span_id)
where cost.usage_pico <> 0
union all
select 2 * cost.cost_id + 1, 'idle', cost.group_id, cost.idle_pico,
    cell.hour, cell.key_id, cost.measure, cell.weight,
    row_number() over (partition by cost.cost_id order by cell.hour, cell.key_id)
from busy_cost as cost
join window_weight as cell using (span_id)
where cost.idle_pico <> 0 and $idle_policy = 'spread';
