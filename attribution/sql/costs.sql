-- Grain: one row per group and unit: its cost in the window, cut into usage and idle.
-- Rule:  a model or a metered API is always busy, the rest of a MIG GPU never; without a sample a unit is
--        busy where it has weight in the window (assumed).
-- Holds: usage + idle = the unit's cost.
create table busy_cost as
with shared as (
    select row_number() over (order by unit_cost.group_id, unit_cost.unit) as cost_id,
        unit_cost.group_id, unit_cost.unit, unit_cost.pico,
        charge_group.hourly, charge_group.window_start,
        case when charge_group.hourly then 'hour' else 'day' end as span,
        window_total.span_id, window_total.measure, window_total.weight,
        case when unit_window.unit_kind in ('model', 'api') then 1000000
            when unit_window.unit_kind = 'remainder' then 0
            when sampled_busy.busy is not null then sampled_busy.busy
            when window_total.weight is not null then 1000000
            else 0 end as busy,
        unit_window.unit_kind in ('gpu', 'mig', 'resource') and sampled_busy.busy is null
            and window_total.weight is not null as assumed
    from unit_cost
    join charge_group using (group_id)
    join unit_window on unit_window.unit = unit_cost.unit and unit_window.hourly = charge_group.hourly
        and unit_window.window_start = charge_group.window_start
    left join sampled_busy on sampled_busy.unit = unit_cost.unit and sampled_busy.hourly = charge_group.hourly
        and sampled_busy.window_start = charge_group.window_start
    left join window_total on window_total.unit = unit_cost.unit
        and window_total.span = case when charge_group.hourly then 'hour' else 'day' end
        and window_total.span_start = charge_group.window_start
)
select *, upto(pico, busy::hugeint, 1000000::hugeint) as usage_pico,
    pico - upto(pico, busy::hugeint, 1000000::hugeint) as idle_pico
from shared;
