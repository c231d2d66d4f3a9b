-- Grain: one row per pooled group and cell of its pool.
-- Rule:  nothing to go by: no cell, and so unallocated at the day's first hour.
create view pool_split as
select charge_group.group_id, charge_group.group_id as piece, charge_group.target as pool,
    charge_group.pico as piece_pico, member.hour, member.cell_key, coalesce(member.weight, 1)::hugeint as weight
from charge_group
left join (select * from pool_cell where weight > 0) as member on member.pool = charge_group.target
where charge_group.disposition = 'pool';
