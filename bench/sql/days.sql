-- Grain: `asked` one row per key and day on which it asked; `hour_cost` one per node and hour; `bill_line` one per line of
--        the bill; `allocation` one per key, cost type, pool and day.
-- Rule:  the days [start, end). A node's hour is cut by its busy share; usage goes to the model's keys by their size of the
--        day (of a model that nobody asked to nobody), idle to the model's owner, each pool to all keys. Shares are differences of running totals.
-- Holds: the allocations sum to the lines of the bill that no rule excludes, to the last place.
create or replace table today as
select day::date as day, (day::date - date '2000-01-01') as number,
    0.75 + 0.35 * (isodow(day) < 6)::integer + (day::date - date '2025-01-01') / 2000.0 as season
from range($start::timestamp, $end::timestamp, interval 1 day) as days (day);

create or replace table asked as
select day, asker.*,
    greatest(1, (size * season * (0.7 + 0.6 * chance(asker * 10000 + number, 6)))::bigint) as weight
from asker, today
where chance(asker * 10000 + number, 7) < 0.3 + 30 / (rank + 10.0);

create or replace table hour_cost as
select day, day::timestamp + to_hours(hour) as hour, machine.*,
    price_pico * (350000 + 400000 * chance(machine.machine * 1000000 + today.number * 24 + hour, 8))::hugeint
        // 1000000::hugeint as usage_pico
from machine, today, range(24) as hours (hour);

create or replace table bill_line as
select *, row_number() over (partition by strftime(day, '%Y-%m') order by day, what, hour, name) as line
from (
    select day, hour, hour + interval 1 hour as until, 'machine' as what, resource_id as name, model as model_number,
        price_pico as pico, usage_pico
    from hour_cost
    union all
    select distinct day, day::timestamp, day::timestamp + interval 1 day, 'api', project, model_number,
        (40000000 + 20000000 * chance(hash(project) % 1000000 + today.number, 9))::hugeint * 1000000, null
    from asked join today using (day)
    where provider <> ''
    union all
    select day, day::timestamp, day::timestamp + interval 1 day, 'pool', pool, null,
        (amount * 1000000 * (0.9 + 0.2 * chance(today.number, 10)))::hugeint * 1000000, null
    from today, (values ('support', 900), ('storage', 400), ('network', 600)) as pools (pool, amount)
    union all
    select day, day::timestamp, day::timestamp + interval 1 day, 'excluded', 'warehouse', null, 250::hugeint * 1000000000000, null
    from today
);

create or replace table allocation as
with paid as (
    select day, model as model_number, '' as project, sum(usage_pico)::hugeint as pico from hour_cost
    group by day, model
    union all
    select day, model_number, name, pico from bill_line where what = 'api'
),
used as (
    select asked.*, paid.pico, sum(weight) over upto as upto, sum(weight) over whole as total
    from asked
    join paid using (day, model_number, project)
    window whole as (partition by day, model_number, project),
        upto as (partition by day, model_number, project order by asker)
),
spread as (
    select asked.*, line.name as pool, line.pico, sum(weight) over upto as upto, sum(weight) over whole as total
    from asked
    join bill_line as line on line.day = asked.day and line.what = 'pool'
    window whole as (partition by asked.day, line.name),
        upto as (partition by asked.day, line.name order by asker)
)
select day, model, model_version, feature, tenant, team, environment, region, endpoint, provider, project,
    'usage' as cost_type, '' as reason, 'gpu_ms' as measure, '' as pool,
    case when provider = '' then 'Compute' else 'AI and Machine Learning' end as service_category,
    pico * upto::hugeint // total::hugeint - pico * (upto - weight)::hugeint // total::hugeint as pico
from used
union all
select day, model, model_version, feature, tenant, team, environment, region, endpoint, provider, project,
    'shared', '', '', pool, 'Other',
    pico * upto::hugeint // total::hugeint - pico * (upto - weight)::hugeint // total::hugeint
from spread
union all
select day, named('model', model, 2), '', '', '', named('team', model % 12, 2), '', '', '', '', '',
    'idle', '', 'gpu_ms', '', 'Compute', sum(price_pico - usage_pico)::hugeint
from hour_cost
group by day, model
union all
select paid.day, '', '', '', '', '', '', '', '', '', '', 'unallocated', 'no_requests', '', '', 'Compute', pico
from paid
where not exists (
    from asked where asked.day = paid.day and asked.model_number = paid.model_number and asked.project = paid.project
);
