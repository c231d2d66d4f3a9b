-- Grain: one row per batch and model: its uncached requests, those that decode, those the server did not measure.
-- Rule:  a batch is the same set of units; on no unit, below 0, the same provider, project and model.
-- Plain SQL over integers, so that every engine gives the same digits.
select {batch} as batch, placed.unit_set, number.model,
    sum(case when raw.timed then 1 else 0 end) as requests,
    sum(case when raw.gpu_micro_ms is null then 1 else 0 end) as lacking
from raw
join placed on placed.place_hash = raw.place_hash and placed.hour = raw.hour
join number on number.key_hash = raw.key_hash
where not raw.cached
group by {batch}, placed.unit_set, number.model
