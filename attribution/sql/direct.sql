-- Grain: one row per group and part of an allocation, before the pools.
create table direct_part as
select usage_piece.group_id, split.hour, request_cell.cell_key, usage_piece.cost_type, '' as reason,
    usage_piece.measure, split.share_pico as pico
from usage_split_shared as split
join usage_piece using (piece)
join request_cell using (key_id)
union all
select group_id, hour, reduced_cell.cell_key, 'idle', '', measure, share_pico
from idle_split_shared
join reduced_cell using (reduced_id)
union all
select group_id, window_start, 1, 'idle', '', '', idle_pico  -- 1: the key of empty columns ranks first
from busy_cost
where $idle_policy = 'platform' and idle_pico <> 0
union all
select split.group_id, split.hour, day_key.cell_key, split.cost_type, split.reason, split.measure, split.share_pico
from stranded_split_shared as split
join {reduced_day_key} using (model, team, environment, region);
