-- Grain: one row per pooled group and cell, with its share: `split.sql`, the running totals taken once a pool and
--        the quotient and remainder once a group.
-- Rule:  nothing to go by: no cell, and so unallocated at the day's first hour.
create table pool_split_running as
with member as (
    select pool, hour, cell_key, weight,
        row_number() over reached as seq,
        sum(weight) over (partition by pool)::hugeint as total,
        sum(weight) over reached::hugeint as running
    from pool_cell
    where weight > 0
    window reached as (partition by pool order by hour, cell_key rows unbounded preceding)
)
select charge_group.group_id, charge_group.group_id as piece, charge_group.target as pool,
    charge_group.pico as piece_pico, member.hour, member.cell_key, coalesce(member.seq, 0) as seq,
    coalesce(member.weight, 1)::hugeint as weight, coalesce(member.total, 1)::hugeint as total,
    coalesce(member.running, 1)::hugeint as running
from charge_group
left join member on member.pool = charge_group.target
where charge_group.disposition = 'pool';
