-- Grain: one row per unit's cost, and cost type that follows its weights in the window.
-- Rule:  a unit's usage follows the weights of the requests it served; so does its idle under `spread`.
create table usage_piece as
select 2 * cost_id as piece, cost_id, group_id, 'usage' as cost_type, measure, span_id, usage_pico as piece_pico
from busy_cost
where usage_pico <> 0
union all
select 2 * cost_id + 1, cost_id, group_id, 'idle', measure, span_id, idle_pico
from busy_cost
where idle_pico <> 0 and $idle_policy = 'spread';

-- Grain: one row per piece and cell of the window.
create view usage_split as
select usage_piece.piece, usage_piece.piece_pico, cell.hour, cell.key_id, cell.weight
from usage_piece
join window_weight as cell using (span_id);
