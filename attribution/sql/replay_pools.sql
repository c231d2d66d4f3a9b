-- Grain: one row per pooled group and chosen cell, with its share, as shared_split.sql and shares.py make it.
-- Rule:  the running totals are taken over all cells of the pool. A pool without a cell goes nowhere.
create table pool_split_shared as
with member as (
    select pool, hour, cell_key, weight,
        sum(weight) over (partition by pool)::hugeint as total,
        sum(weight) over (partition by pool order by hour, cell_key rows unbounded preceding)::hugeint as running
    from pool_cell
    where weight > 0
),
reached as (
    select pool, hour, cell_key, weight, total, running
    from member
    where cell_key in (select cell_key from day_key where {cells})
)
select charge_group.group_id, reached.hour, reached.cell_key, reached.weight,
    upto(pico, reached.running, reached.total) - upto(pico, reached.running - reached.weight, reached.total) as share_pico
from charge_group
join reached on reached.pool = charge_group.target
where charge_group.disposition = 'pool'
union all
select group_id, null, null, 1::hugeint, pico
from charge_group
where disposition = 'pool' and target not in (select pool from member)
