-- Grain: one row per request of the day, with its key in words.
-- Rule:  a request without team gets its feature's owner, else its model's, as in force at its hour's start.
create table request_placed as
with placed as (
    select row_number() over () as request, date_trunc('hour', time) as hour, *,
        case when pod <> '' then date_trunc('hour', time) end as pod_hour
    from requests
    where day = $day
)
select placed.request, placed.hour, placement.placement,
    placed.model, placed.model_version, placed.feature, placed.tenant,
    coalesce(nullif(placed.team, ''), feature_owner.team, model_owner.team, '') as team,
    placed.environment, placed.region, placed.endpoint, placed.provider, placed.project,
    placed.succeeded, placed.cached, placed.predictions, placed.value,
    placed.input_tokens as input, placed.cached_input_tokens as cached_input, placed.output_tokens as output,
    placed.gpu_micro_ms, placed.latency_micro_ms,
    epoch_us(placed.time) + (placed.ttft_micro_ms + 500) // 1000 as decode_start,
    epoch_us(placed.time) + (placed.latency_micro_ms + 500) // 1000 as decode_end
from placed
join placement
    on placement.gpu_uuids = placed.gpu_uuids and placement.namespace = placed.namespace
    and placement.pod = placed.pod and placement.host = placed.host
    and placement.resource_id = placed.resource_id
    and placement.pod_hour is not distinct from placed.pod_hour
left join owner_now as feature_owner
    on placed.team = '' and placed.feature <> '' and feature_owner.kind = 'feature'
    and feature_owner.name = placed.feature
    and feature_owner.valid_from <= placed.hour and feature_owner.valid_to > placed.hour
left join owner_now as model_owner
    on placed.team = '' and model_owner.kind = 'model' and model_owner.name = placed.model
    and model_owner.valid_from <= placed.hour and model_owner.valid_to > placed.hour;

-- Grain: one row per key of the day; key_id ranks the key columns, empty first.
create table request_keys as
select $day as day, row_number() over (order by {keys}) as key_id, *
from (select distinct {keys} from request_placed);

-- Grain: one row per request of the day, with only what decides shares.
create table request_named as
select placed.request, placed.hour, placed.placement, key.key_id, placed.succeeded, placed.cached,
    placed.predictions, placed.value, placed.input, placed.cached_input, placed.output,
    placed.gpu_micro_ms, placed.latency_micro_ms, placed.decode_start, placed.decode_end
from request_placed as placed
join request_keys as key on {key_join};
drop table request_placed;

-- Grain: one row per request that decodes in a batch: cached ones do not, token counts are not needed.
-- Rule:  a batch is the same set of units; on no unit, the same provider, project and model.
create table decoding as
select request, decode_start, decode_end,
    dense_rank() over (
        order by placement_set.unit_set nulls first,
            case when placement_set.unit_set is null then key.provider end nulls first,
            case when placement_set.unit_set is null then key.project end nulls first,
            case when placement_set.unit_set is null then key.model end nulls first
    ) as batch
from request_named
join request_keys as key using (key_id)
left join placement_set using (placement)
where not cached and decode_start is not null and decode_end is not null;
