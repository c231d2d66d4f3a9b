-- Grain: one row per model and resource that had to do with each other on the days given.
-- Rule:  by what a request names (its resource, host, GPU or pod), or by the model tag of the resource's charge.
with placed as (
    select distinct model, host, resource_id, namespace, pod, unnest(
        case when len(gpu_uuids) > 0 then gpu_uuids else [''] end
    ) as uuid
    from (select distinct source, day, key_hash, place_hash from requests where list_contains($days::DATE[], day))
    join key_names using (source, day, key_hash)
    join place_names using (source, day, place_hash)
),
gpu as (
    select distinct uuid, resource_id
    from unit_windows
    where list_contains($days::DATE[], day) and uuid <> ''
),
pods as (
    select distinct namespace, pod, uuid
    from gpu_samples
    where list_contains($days::DATE[], day) and pod <> ''
)
select model, resource_id from placed where resource_id <> ''
union
select placed.model, hosts.resource_id from placed join hosts on hosts.host = placed.host
union
select placed.model, gpu.resource_id from placed join gpu using (uuid)
union
select placed.model, gpu.resource_id
from placed
join pods on pods.pod = placed.pod and (placed.namespace = '' or pods.namespace = placed.namespace)
join gpu on gpu.uuid = pods.uuid
where placed.pod <> ''
union
select json_extract_string(tags, '$.model'), resource_id
from charges
where coalesce(json_extract_string(tags, '$.model'), '') <> '' and coalesce(resource_id, '') <> ''
    and charge_period_start < (list_max($days::DATE[]) + 1)::TIMESTAMPTZ
    and charge_period_end > list_min($days::DATE[])::TIMESTAMPTZ
