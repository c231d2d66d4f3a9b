-- Grain: one row per request that is weighed by how alone it decodes, and its batch: cached ones decode in none, token
--        counts are not needed.
select row.*, {batch} as batch
from {rows} as row
join placed on placed.place_hash = row.place_hash and placed.hour = row.hour
join number on number.key_hash = row.key_hash
where {which}
