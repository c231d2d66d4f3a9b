-- Grain: one row per batch and model: its requests that decode, and whether any lacks what the server measured.
-- Rule:  a batch is the same set of units; on no unit, below 0, the same provider, project and model.
create table decoding as
select {batch} as batch,
    placed.unit_set, number.model, count(*) filter (where raw.timed) as requests,
    count(*) > count(raw.gpu_micro_ms) as lacking
from raw
join placed on placed.place_hash = raw.place_hash and placed.hour = raw.hour
join number on number.key_hash = raw.key_hash
where not raw.cached
group by 1, 2, 3;

-- Grain: one row per batch whose weights may count: some request that is weighed with its own lacks `gpu_ms`.
-- Rule:  weighed together are the requests of a unit, those of a GPU's instances, and those of a model.
create table swept as
with lacking_unit as (
    select distinct split_part(unit, chr(31), 1) as device
    from unit_sets
    where unit_set in (select unit_set from decoding where lacking)
),
lacking_set as (
    select distinct unit_set from unit_sets where split_part(unit, chr(31), 1) in (select device from lacking_unit)
)
select batch, sum(requests)::bigint as requests
from decoding
where batch in (
    select batch from decoding
    where $every_batch or unit_set in (select unit_set from lacking_set)
        or model in (select model from decoding where lacking)
)
group by batch
having sum(requests) > 0;
