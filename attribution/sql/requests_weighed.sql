-- Grain: one row per request that the unit served in the window, with its team and its weight by the measure.
-- Rule:  each stands under a key of its own, the number in place of its tenant; a cached one weighs nothing.
with weighed as (
    select key.tenant::bigint as number, sum(single.sum_{measure})::hugeint as weight
    from single_request as single
    join request_keys as key on key.day = single.day and key.key_id = single.key_id
    where key.tenant <> ''
    group by key.tenant
),
-- What is cached is in no roll-up of weights: it ran where its place says.
place as (
    select distinct gpu_uuids, namespace, pod, host, resource_id
    from candidate
    where number in (select number from weighed)
)
select candidate.* exclude (number, wanted, team), key.team,
    date_trunc('hour', candidate.time) as hour,
    coalesce(weighed.weight, 0)::decimal(38, 0) as weight
from candidate
join request_keys as key on key.tenant = candidate.number::varchar
left join weighed on weighed.number = candidate.number
where candidate.wanted and (weighed.number is not null or candidate.cached and exists (
    select 1 from place
    where place.gpu_uuids = candidate.gpu_uuids and place.namespace = candidate.namespace
        and place.pod = candidate.pod and place.host = candidate.host
        and place.resource_id = candidate.resource_id
))
