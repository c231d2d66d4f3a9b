-- Grain: one row per hour and key with a model: what pools may be spread by.
-- Rule:  a cell negative in sum counts as 0. No pool's output is in it, so the order of pools does not matter.
create table cell as
with cost as (
    select hour, cell_key, sum(pico) as direct_cost, sum(pico) filter (where cost_type = 'usage') as usage_cost
    from direct_part
    where cost_type in ('usage', 'idle')
    group by hour, cell_key
),
served as (
    select hours.hour, request_cell.cell_key, hours.requests::hugeint as requests,
        (hours.input_tokens + hours.output_tokens)::hugeint as tokens,
        coalesce(hours.gpu_micro_ms, 0)::hugeint as gpu_seconds
    from request_hours as hours
    join request_cell using (key_id)
    where hours.day = $day
)
select hour, cell_key,
    greatest(coalesce(direct_cost, 0), 0)::hugeint as direct_cost,
    greatest(coalesce(usage_cost, 0), 0)::hugeint as usage_cost,
    coalesce(requests, 0)::hugeint as requests, coalesce(tokens, 0)::hugeint as tokens,
    coalesce(gpu_seconds, 0)::hugeint as gpu_seconds
from cost
full join served using (hour, cell_key)
where cell_key in (select cell_key from day_key where model <> '');

-- Grain: one row per pool and cell that has a share in it; `even` and `fixed` set one column at the day's first hour.
create table pool_cell as
select alone.pool, $day_start as hour, day_key.cell_key, alone.weight
from pool_alone as alone
join day_key using ({keys});
