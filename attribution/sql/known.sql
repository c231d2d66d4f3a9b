-- Grain: one row per inventory row: the first midnight at which it is in force, and when it ends.
create table inventory_span as
select host, resource_id,
    case when valid_from is null then timestamptz '0001-01-01'
        when date_trunc('day', valid_from) = valid_from then valid_from
        else date_trunc('day', valid_from) + interval 1 day end as first_midnight,
    coalesce(valid_to, timestamptz '9999-01-01') as until
from hosts
where resource_id <> '';

-- Grain: one row per resource and day on which a request or a metric's host names it.
-- Rule:  a request by its resource_id; a metric where its host is no inventory host and so its own resource.
--        A metric's host is found as in hosts.sql, with the inventory and the known resources of its own day;
--        the whole-GPU metrics of a GPU with MIG instances are ignored here, too.
create table resource_named as
with asked as (
    select distinct day, names[1] as resource_id from named_resources where kind = 'request'
),
label as (
    select day, day::timestamptz as midnight, names, unnest(names) as host,
        generate_subscripts(names, 1) as position
    from (
        select distinct day, names from named_resources
        where kind = 'mig' or kind = 'gpu' and (day, uuid) not in (
            select day, uuid from named_resources where kind = 'mig'
        )
    )
),
recognised as (
    select distinct label.day, label.host,
        bool_or(inventory.host = label.host) as in_inventory,
        bool_or(inventory.resource_id = label.host) as is_resource
    from label
    join inventory_span as inventory
        on (inventory.host = label.host or inventory.resource_id = label.host)
        and inventory.first_midnight <= label.midnight and inventory.until > label.midnight
    group by label.day, label.host
),
requested as (
    select distinct label.day, label.host
    from label
    join asked on asked.resource_id = label.host and asked.day >= label.day - 7 and asked.day <= label.day
),
ranked as (
    select label.day, label.host, coalesce(recognised.in_inventory, false) as in_inventory,
        row_number() over (
            partition by label.day, label.names
            order by
                case when recognised.in_inventory then 0
                    when recognised.is_resource or requested.host is not null then 1
                    else 2 end,
                label.position
        ) as preference
    from label
    left join recognised on recognised.day = label.day and recognised.host = label.host
    left join requested on requested.day = label.day and requested.host = label.host
)
select day, resource_id from asked
union
select day, host from ranked where preference = 1 and not in_inventory;
