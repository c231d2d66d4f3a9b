-- Grain: one row per kind and name of what did not meet today: the cost that hangs on it, and the line to add.
create table unmatched_today as
with excluded as (
    select 'excluded_charge' as kind,
        coalesce(nullif(service_name, ''), nullif(resource_id, ''), 'charges without service') as name,
        to_cost(sum(converted_pico)::hugeint) as cost, count(*) as rows
    from part
    where rule = 'default:exclude' and disposition = 'exclude'
    group by all
),
unconverted as (
    select 'unconverted_charge' as kind, currency as name, to_cost(sum(part_pico)::hugeint) as amount, count(*) as rows
    from part
    where disposition = 'unconverted'
    group by all
),
billed as (select distinct resource_id from charge_of_day where resource_id <> ''),
unbilled as (
    select case when host.host is null then 'unknown_host' else 'resource_without_charge' end as kind,
        case when host.host is null then place.host else place.resource_id end as name,
        count(distinct sample.uuid) as rows
    from metric_host as place
    left join host on host.host = place.host
    join sample on sample.hosts = place.hosts
    where place.resource_id not in (select resource_id from billed)
    group by all
),
-- A metered API or a rule that names the model serves these requests, whatever they say of a host.
homeless as (
    select kind, name, sum(rows)::bigint as rows, min(model) as model
    from unplaced
    where day = $day
        and not exists (select 1 from unit where unit_kind = 'model' and unit.model = unplaced.model)
        and not exists (
            select 1 from unit
            where unit_kind = 'api' and unit.provider = unplaced.provider and unit.project = unplaced.project
                and (unit.model = '' or unit.model = unplaced.model)
        )
    group by kind, name
),
ownerless as (
    select 'model_without_owner' as kind, model as name, to_cost(sum(pico)::hugeint) as cost, count(*) as rows
    from allocation
    join day_key using (cell_key)
    where model <> '' and team = ''
        and model not in (select name from owner_now where kind = 'model')
    group by all
),
metered as (
    select member.unit, key.provider || '/' || key.model as name,
        sum(weights.requests) filter (where weights.with_tokens)::bigint as rows
    from window_asked as member
    join request_keys as key on key.day = member.day and key.key_id = member.key_id
    join request_weights as weights on weights.day = member.day and weights.key_id = member.key_id
    where member.unit in (select unit from unit where unit_kind = 'api')
    group by member.unit, key.provider || '/' || key.model
    having coalesce(sum(weights.requests) filter (where weights.with_list_price), 0)
        < sum(weights.requests) filter (where weights.with_tokens)
),
unpriced as (
    select 'model_without_price' as kind, metered.name, to_cost(sum(cost.usage_pico)::hugeint) as cost,
        any_value(metered.rows)::bigint as rows
    from metered
    join busy_cost as cost on cost.unit = metered.unit
    group by all
),
worse as (
    select 'worse_measure' as kind, today.unit, before.measure as wanted, today.measure,
        today.succeeded - case before.measure {has_of} end as rows
    from graded_today as today
    join graded_before as before on before.unit = today.unit
    where case today.measure {rank_of} else 9 end > case before.measure {rank_of} else 9 end
),
at_fault as (
    select member.unit, string_agg(distinct key.model, ', ' order by key.model) as models
    from unit_sets as member
    join request_weights as weights using (day, unit_set)
    join request_keys as key using (day, key_id)
    where member.day = $day and member.unit in (select unit from worse)
    group by member.unit
)
select $day as day, kind, name, cost, rows,
    'policy.toml: [[rules]]' || chr(10) || 'name = "' || name || '"' || chr(10) || 'when = { ServiceName = "' || name
        || '" }' || chr(10) || 'then = { pool = "…" }   # or { exclude = true }' as remedy
from excluded
union all
select $day, kind, name, 0, rows,
    'rates.csv: ' || $day || ',' || name || ',RATE   (' || amount || ' ' || name || ' stay out)'
from unconverted
union all
select $day, kind, name, 0, rows,
    case kind when 'unknown_host' then 'hosts.csv: ' || name || ',RESOURCE_ID'
        else 'bill: no charge names ' || name || ' on this day' end
from unbilled
union all
select $day, kind, name, 0, rows,
    case kind when 'unknown_host' then 'hosts.csv: ' || name || ',RESOURCE_ID'
        when 'unknown_gpu' then 'GPU metrics: no sample of ' || name || ' on this day'
        when 'unknown_pod' then 'GPU metrics: no sample of pod ' || name || ' in its hours'
        else 'request log of ' || model || ': give gpu_uuid, namespace and pod, host or resource_id' end
from homeless
union all
select $day, kind, name, cost, rows, 'owners.csv: model,' || name || ',TEAM,COST_CENTER,MAIL,,'
from ownerless
union all
select $day, kind, name, cost, rows,
    'policy.toml: [prices."' || name || '"] input = …, cached_input = …, output = … (USD per 1M tokens)'
from unpriced
union all
select $day, worse.kind, worse.unit, coalesce(to_cost(spent.pico), 0), worse.rows,
    'request log of ' || at_fault.models || ': ' || worse.rows || ' requests lack ' || worse.wanted
        || ', so shared by ' || worse.measure || ' instead'
from worse
join at_fault on at_fault.unit = worse.unit
left join (select unit, sum(usage_pico)::hugeint as pico from busy_cost group by unit) as spent
    on spent.unit = worse.unit;
