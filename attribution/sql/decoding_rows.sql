-- Grain: one row per request that decodes in one of the batches: cached ones do not, token counts are not needed.
select row.*, {batch} as batch
from {rows} as row
join placed on placed.place_hash = row.place_hash and placed.hour = row.hour
join number on number.key_hash = row.key_hash
where row.timed and not row.cached and {batch} in ({batches})
