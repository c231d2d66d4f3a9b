-- Grain: one row per group of charges whose allocations do not sum to it. Empty, or nothing is published.
create table drift as
with allocated as (
    select group_id, sum(pico) as pico
    from (
        select group_id, pico from direct_part
        union all
        select group_id, share_pico from pool_split_shared
    )
    group by group_id
)
select charge_group.source, charge_group.billing_account, charge_group.resource_id,
    cast(charge_group.window_start as varchar) as window_start,
    to_cost(charge_group.pico) as charged, to_cost(coalesce(allocated.pico, 0)) as allocated
from charge_group
left join allocated using (group_id)
where charge_group.pico <> coalesce(allocated.pico, 0);
