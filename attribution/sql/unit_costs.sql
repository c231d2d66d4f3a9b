-- Grain: one row per share that a resource's cost falls into: a GPU, a MIG instance, the rest of a GPU.
-- Rule:  equal shares a GPU; under MIG by compute slices of 7, of 4 on an A30, or of their sum if that is larger.
create table gpu_share as
with gpu as (
    select uuid, bool_or(mig) as mig, sum(slices)::bigint as used,
        greatest(sum(slices), case
            when bool_or(regexp_matches(gpu_model, '(^|[^A-Za-z0-9])A30([^0-9]|$)')) then 4 else 7 end)::bigint as capacity
    from device
    group by uuid
)
select gpu.uuid, device.unit, device.instance, device.gpu_model,
    case when gpu.mig then device.slices else 1 end as slices,
    row_number() over (partition by gpu.uuid order by try_cast(device.instance as bigint) nulls first, device.instance)
        as position
from gpu
join device using (uuid)
union all
select uuid, 'm:' || uuid, '', '', capacity - used, 1000000
from gpu
where mig and capacity > used;

create table resource_gpu as
select distinct gpu_host.resource_id, gpu_host.uuid
from gpu_host
join gpu_share using (uuid);

-- Grain: one row per group and GPU of its resource.
create table group_gpu as
select group_id, uuid, pico as piece_pico, 1::hugeint as weight, group_id as piece
from charge_group
join resource_gpu using (resource_id)
where disposition = 'direct';
