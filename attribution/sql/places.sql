-- Grain: one row per set of names under which requests of the day say where they ran, `hour` NULL for any.
-- Rule:  a pod's units are those of its hour, so a place with a pod has a row for each.
create table placement as
select row_number() over (order by place_hash, hour) as placement, *
from (
    select place.*, hours.hour, $day_start + to_hours(hours.hour) as pod_hour
    from (
        select distinct place_hash, gpu_uuids, namespace, pod, host, resource_id
        from place_names
        where day = $day
    ) as place
    left join range(24) as hours (hour) on place.pod <> ''
);

-- Grain: one row per placement and unit that serves it.
-- Rule:  the most exact name that is known decides: GPU, pod, inventory host, resource.
-- Holds: a placement without a row ran on no unit that we know.
create table placement_unit as
with named as (
    select placement.placement, 1 as exactness, device.unit
    from (select placement, unnest(gpu_uuids) as uuid from placement) as placement
    join device using (uuid)
    union all
    select placement.placement, 2, device_pod.unit
    from placement
    join device_pod on device_pod.hour = placement.pod_hour and device_pod.pod = placement.pod
        and (placement.namespace = '' or placement.namespace = device_pod.namespace)
    union all
    select placement.placement, 3, device.unit
    from placement
    join host on host.host = placement.host
    join gpu_host on gpu_host.host = host.host
    join device on device.uuid = gpu_host.uuid
    union all
    select placement.placement, 4, device.unit
    from placement
    join host on host.host = placement.host
    join gpu_host on gpu_host.resource_id = host.resource_id
    join device on device.uuid = gpu_host.uuid
    union all
    select placement.placement, 5, 'r:' || host.resource_id
    from placement
    join host on host.host = placement.host
    where host.resource_id <> ''
    union all
    select placement.placement, 6, device.unit
    from placement
    join gpu_host on gpu_host.resource_id = placement.resource_id
    join device on device.uuid = gpu_host.uuid
    where placement.resource_id <> ''
    union all
    select placement.placement, 7, 'r:' || placement.resource_id
    from placement
    where placement.resource_id <> ''
),
best as (select placement, min(exactness) as exactness from named group by placement)
select distinct named.placement, named.unit
from named
join best on best.placement = named.placement and best.exactness = named.exactness;

-- Grain: one row per placement on units; equal sets of units have the same number, from 1.
create table placement_set as
with member as (
    select placement, string_agg(unit, chr(30) order by unit) as units, count(*) as size
    from placement_unit
    group by placement
)
select placement, dense_rank() over (order by units) as unit_set, size
from member;

-- Grain: one row per place and hour: on how many units a request ran, and on which set; on none: set 0, size 1.
create table placed as
select placement.place_hash, hours.hour::integer as hour, placement.placement,
    coalesce(placement_set.unit_set, 0)::integer as unit_set, coalesce(placement_set.size, 1)::bigint as size
from placement
join range(24) as hours (hour) on placement.hour is null or placement.hour = hours.hour
left join placement_set using (placement);

create table unit_sets as
select distinct $day as day, placement_set.unit_set::integer as unit_set, placement_unit.unit
from placement_set
join placement_unit using (placement);
