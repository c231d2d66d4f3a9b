-- Grain: one row per group and unit: what the unit costs in the group's window.
create table unit_cost as
select group_id, unit, share_pico as pico from group_slice_shared where share_pico <> 0
union all
select group_id, 'r:' || resource_id, pico
from charge_group
where disposition = 'direct' and resource_id not in (select resource_id from resource_gpu)
union all
select group_id, 'model:' || target, pico from charge_group where disposition = 'model'
union all
select group_id, 'api:' || target || chr(31) || project || chr(31) || model_tag, pico
from charge_group
where disposition = 'api';

-- Grain: one row per unit that costs money on this day, with what its requests are found by.
create table unit as
select distinct unit_cost.unit,
    case split_part(unit_cost.unit, ':', 1)
        when 'g' then 'gpu' when 'i' then 'mig' when 'm' then 'remainder' when 'r' then 'resource'
        when 'model' then 'model' else 'api' end as unit_kind,
    coalesce(gpu_share.uuid, '') as uuid, coalesce(gpu_share.instance, '') as instance,
    coalesce(gpu_share.gpu_model, '') as gpu_model,
    case when charge_group.disposition = 'direct' then charge_group.resource_id else '' end as resource_id,
    case charge_group.disposition when 'model' then target when 'api' then model_tag else '' end as model,
    case when charge_group.disposition = 'api' then target else '' end as provider,
    project
from unit_cost
join charge_group using (group_id)
left join gpu_share on gpu_share.unit = unit_cost.unit;

-- Grain: one row per unit and window in which it costs money. A window is an hour, or the whole day.
create table unit_window as
select distinct unit_cost.unit, charge_group.hourly, charge_group.window_start,
    unit.unit_kind
from unit_cost
join charge_group using (group_id)
join (select distinct unit, unit_kind from unit) as unit on unit.unit = unit_cost.unit;

-- Grain: one row per device, hour or day, with samples: the mean busy share in millionths.
-- Rule:  engine activity, where a window has none GPU utilisation; of pods that repeat a device's value the largest.
create table sampled_busy as
with reading as (
    select device.unit, sample.metric, sample.time, max(sample.busy) as busy
    from sample
    join device using (uuid, instance)
    group by device.unit, sample.metric, sample.time
),
spanned as (
    select unit, metric, true as hourly, date_trunc('hour', time) as window_start, busy from reading
    union all
    select unit, metric, false, $day_start, busy from reading
),
mean as (
    select unit, hourly, window_start, metric, (sum(busy)::hugeint // count(*)::hugeint)::bigint as busy
    from spanned
    group by unit, hourly, window_start, metric
)
select unit, hourly, window_start,
    coalesce(
        max(busy) filter (where metric = 'DCGM_FI_PROF_GR_ENGINE_ACTIVE'),
        max(busy) filter (where metric = 'DCGM_FI_DEV_GPU_UTIL')
    ) as busy
from mean
group by unit, hourly, window_start;
