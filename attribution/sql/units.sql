-- Grain: one row per device of the day: a GPU without MIG, or a MIG instance.
-- Rule:  those with samples that UTC day.
-- Slices: of an instance `3g.40gb`, 3.
create table device as
select uuid, instance, max(gpu_model) as gpu_model,
    max(coalesce(try_cast(regexp_extract(profile, '(\d+)g', 1) as bigint), 1)) as slices,
    instance <> '' as mig,
    case when instance = '' then 'g:' || uuid else 'i:' || uuid || chr(31) || instance end as unit
from sample
group by uuid, instance;

-- Grain: one row per GPU and host that it was sampled on; a host outside the inventory is its own resource.
create table gpu_host as
select distinct sample.uuid, place.host, place.resource_id
from sample
join metric_host as place on place.hosts = sample.hosts
where place.resource_id <> '';

-- Grain: one row per device, hour and pod that its samples name.
create table device_pod as
select distinct date_trunc('hour', sample.time) as hour, sample.namespace, sample.pod, device.unit
from sample
join device using (uuid, instance)
where sample.pod <> '';
