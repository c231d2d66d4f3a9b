-- Grain: one row per key as the log has it: by what its requests are weighed, and in whose batch they are on no unit.
create table number as
select key.key_hash, key.model, dense_rank() over (order by key.provider, key.project, key.model)::integer as served_by,
    coalesce(own.token_fresh, general.token_fresh) as token_fresh,
    coalesce(own.token_reused, general.token_reused) as token_reused,
    coalesce(own.token_written, general.token_written) as token_written,
    coalesce(own.token_unit, general.token_unit) as token_unit,
    coalesce(own.batch_fresh, general.batch_fresh) as batch_fresh,
    coalesce(own.batch_share, general.batch_share) as batch_share,
    coalesce(own.batch_context, general.batch_context) as batch_context,
    coalesce(own.batch_unit, general.batch_unit) as batch_unit,
    price.price_fresh, price.price_reused, price.price_written, price.price_unit
from (select distinct key_hash, provider, project, model from key_names where day = $day) as key
cross join (select * from token_number where model is null) as general
left join (select * from token_number where model is not null) as own on own.model = key.model
left join price_number as price on price.provider = key.provider and price.model = key.model;
