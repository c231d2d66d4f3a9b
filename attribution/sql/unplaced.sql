-- Grain: one row per name under which uncached requests of the day say where they ran, and which we do not know.
create table unplaced as
select $day as day,
    case when len(gpu_uuids) > 0 then 'unknown_gpu' when request.pod <> '' then 'unknown_pod'
        when request.host <> '' then 'unknown_host' else 'request_without_unit' end as kind,
    case when len(gpu_uuids) > 0 then gpu_uuids[1]
        when request.pod <> '' then concat_ws('/', nullif(request.namespace, ''), request.pod)
        when request.host <> '' then request.host else key.model end as name,
    key.model, key.provider, key.project, count(*) as rows
from request_named as named
join request_keys as key using (key_id)
join placement as request using (placement)
left join placement_set using (placement)
where placement_set.placement is null and not named.cached
group by all;
