-- Grain: one row per sample of the day that counts; what follows reads it several times.
-- Rule:  whole-GPU samples of a GPU with MIG instances are ignored: they name no host either.
create table sample as
select uuid, instance, profile, gpu_model, metric, time, busy, hosts, namespace, pod
from gpu_samples
where day = $day
    and (instance <> '' or uuid not in (select uuid from gpu_samples where day = $day and instance <> ''));

-- Grain: one row per inventory host in force at the day's start.
-- Rule:  valid_from is included, valid_to is not.
create table host as
select host, min(resource_id) as resource_id
from hosts
where (valid_from is null or valid_from <= $day_start)
    and (valid_to is null or valid_to > $day_start)
group by host;

-- Grain: one row per resource that the inventory or a request of the day or of the 7 days before names.
create table known_resource as
select distinct resource_id from host where resource_id <> ''
union
select names[1] from named_resources where kind = 'request' and day >= $known_since and day <= $day;

-- Grain: one row per list of host labels seen in the day's metrics; `host` is the metric's host.
-- Rule:  the first label the inventory knows, else the first that is a known resource id, else the first.
create table metric_host as
with label as (
    select hosts, unnest(hosts) as host, generate_subscripts(hosts, 1) as position
    from (select distinct hosts from sample)
),
ranked as (
    select label.hosts, label.host, coalesce(host.resource_id, label.host) as resource_id,
        row_number() over (
            partition by label.hosts
            order by
                case when host.host is not null then 0 when known.resource_id is not null then 1 else 2 end,
                label.position
        ) as preference
    from label
    left join host on host.host = label.host
    left join known_resource as known on known.resource_id = label.host
)
select hosts, host, resource_id from ranked where preference = 1;
