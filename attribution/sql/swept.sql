-- Grain: one row per batch whose weights may count: some request that is weighed with its own lacks `gpu_ms`.
-- Rule:  reads `decoding`. Weighed together are the requests of a unit, those of a GPU's instances, and those of a model.
create table swept as
with lacking_unit as (
    select distinct split_part(unit, chr(31), 1) as device
    from unit_sets
    where unit_set in (select unit_set from decoding where lacking > 0)
),
lacking_set as (
    select distinct unit_set from unit_sets where split_part(unit, chr(31), 1) in (select device from lacking_unit)
)
select batch, sum(requests)::bigint as requests
from decoding
where batch in (
    select batch from decoding
    where $every or unit_set in (select unit_set from lacking_set)
        or model in (select model from decoding where lacking > 0)
)
group by batch
having sum(requests) > 0;
