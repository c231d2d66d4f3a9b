-- Grain: one row per stretch of hours of the day in which no owner changes.
create table owner_stretch as
select hour as first_hour, coalesce(lead(hour) over (order by hour), 24) as end_hour
from (
    select 0 as hour
    union
    select ((epoch_us(moment) - epoch_us($day_start) + 3599999999) // 3600000000)::integer
    from (select valid_from as moment from owner_now union all select valid_to from owner_now)
    where moment > $day_start and moment <= $day_start + interval 23 hour
);

-- Grain: one row per key as the log has it, and stretch of hours.
-- Rule:  a request without team gets its feature's owner, else its model's, as in force at its hour's start.
create table owned_key as
select key.key_hash, stretch.first_hour, stretch.end_hour,
    key.model, key.model_version, key.feature, key.tenant,
    coalesce(nullif(key.team, ''), feature_owner.team, model_owner.team, '') as team,
    key.environment, key.region, key.endpoint, key.provider, key.project
from (
    select distinct key_hash, {keys} from key_names
    where day = $day and key_hash in (select key_hash from gathered)
) as key
cross join (select *, $day_start + to_hours(first_hour) as start from owner_stretch) as stretch
left join owner_now as feature_owner
    on key.team = '' and key.feature <> '' and feature_owner.kind = 'feature' and feature_owner.name = key.feature
    and feature_owner.valid_from <= stretch.start and feature_owner.valid_to > stretch.start
left join owner_now as model_owner
    on key.team = '' and model_owner.kind = 'model' and model_owner.name = key.model
    and model_owner.valid_from <= stretch.start and model_owner.valid_to > stretch.start;

-- Grain: one row per key of the day; key_id ranks the key columns, empty first.
create table request_keys as
select $day as day, row_number() over (order by {keys}) as key_id, *
from (
    select distinct {keys}
    from owned_key
    join (select distinct key_hash, hour from gathered) as asked
        on asked.key_hash = owned_key.key_hash
        and asked.hour >= owned_key.first_hour and asked.hour < owned_key.end_hour
);

-- Grain: one row per row of gathered, with its key after owners and its units.
create table placed_cell as
select cell.*, key.key_id, placed.placement, placed.unit_set
from gathered as cell
join (
    select owned.key_hash, owned.first_hour, owned.end_hour, key.key_id
    from owned_key as owned
    join request_keys as key on {key_join}
) as key on key.key_hash = cell.key_hash and cell.hour >= key.first_hour and cell.hour < key.end_hour
join placed on placed.place_hash = cell.place_hash and placed.hour = cell.hour;

-- Grain: one row per hour, set of units (0: none), key, outcome and measures that the requests have.
-- Rule:  uncached requests alone. `part_…` is the sum of each weight divided (div) over the units of the set; NULL
--        where that is the sum itself, and a sum where no request has the measure or no unit of the day can need it.
create table request_weights as
select $day as day, $day_start + to_hours(hour) as hour, unit_set, key_id, succeeded,
    with_gpu_ms, timed and with_tokens as with_batch_tokens, with_tokens and list_price is not null as with_list_price,
    with_tokens, with_latency_ms,
    sum(requests)::bigint as requests,
    sum(gpu_ms)::hugeint as gpu_ms, sum(batch_tokens)::hugeint as batch_tokens, sum(list_price)::hugeint as list_price,
    sum(tokens)::hugeint as tokens, sum(latency_ms)::hugeint as latency_ms,
    nullif(sum(part_gpu_ms), sum(gpu_ms))::hugeint as part_gpu_ms,
    nullif(sum(part_batch_tokens), sum(batch_tokens))::hugeint as part_batch_tokens,
    nullif(sum(part_tokens), sum(tokens))::hugeint as part_tokens,
    nullif(sum(part_latency_ms), sum(latency_ms))::hugeint as part_latency_ms
from placed_cell
where not cached
group by hour, unit_set, key_id, succeeded, with_gpu_ms, timed and with_tokens, with_tokens and list_price is not null,
    with_tokens, with_latency_ms;

-- Grain: one row per hour and key: what was served, cached requests included.
create table request_hours as
with served as (
    select $day_start + to_hours(hour) as hour, key_id,
        sum(requests)::bigint as requests,
        coalesce(sum(requests) filter (where not succeeded), 0)::bigint as failed_requests,
        coalesce(sum(requests) filter (where cached), 0)::bigint as cached_requests,
        coalesce(sum(predictions) filter (where succeeded), 0)::bigint as predictions,
        coalesce(sum(input_tokens), 0)::bigint as input_tokens,
        coalesce(sum(cached_input_tokens), 0)::bigint as cached_input_tokens,
        coalesce(sum(output_tokens), 0)::bigint as output_tokens,
        sum(gpu_ms)::hugeint as gpu_micro_ms,
        sum(value)::decimal(38, 12) as value
    from placed_cell
    group by hour, key_id
)
select key.day, {keys}, served.*
from served
join request_keys as key using (key_id);

-- Grain: one row per name under which uncached requests of the day say where they ran, and which we do not know.
create table unplaced as
select $day as day,
    case when len(gpu_uuids) > 0 then 'unknown_gpu' when place.pod <> '' then 'unknown_pod'
        when place.host <> '' then 'unknown_host' else 'request_without_unit' end as kind,
    case when len(gpu_uuids) > 0 then gpu_uuids[1]
        when place.pod <> '' then concat_ws('/', nullif(place.namespace, ''), place.pod)
        when place.host <> '' then place.host else key.model end as name,
    key.model, key.provider, key.project, sum(cell.requests)::bigint as rows
from placed_cell as cell
join request_keys as key using (key_id)
join placement as place using (placement)
where cell.unit_set = 0 and not cell.cached
group by all;
