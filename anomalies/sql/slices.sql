-- Grain: one row per day and slice: a model, a tenant or a feature of a model, a resource.
-- Order: all columns: what is summed and rounded from it in turn comes out the same each time.
-- Rule:  cost is usage + idle, shared pools left out: they would carry every change into every model.
--        Idle has no tenant and no feature. Unit cost is made of usage and predictions.
-- Holds: the models' rows sum to the usage and idle that have a model.
with cost as (
    select day, model, tenant, feature,
        sum(cost) filter (where cost_type = 'usage') as usage,
        sum(cost) filter (where cost_type = 'idle') as idle
    from allocation_days
    where day >= $start and day < $end and model <> '' and cost_type in ('usage', 'idle')
    group by all
),
served as (
    select day, model, tenant, feature, sum(predictions) as predictions, sum(requests) as requests
    from request_days
    where day >= $start and day < $end and model <> ''
    group by all
),
keyed as (
    select day, model, tenant, feature, coalesce(usage, 0) as usage, coalesce(idle, 0) as idle,
        coalesce(predictions, 0) as predictions, coalesce(requests, 0) as requests
    from cost
    full join served using (day, model, tenant, feature)
)
select 'model' as kind, model, '' as tenant, '' as feature, '' as resource, day,
    sum(usage) + sum(idle) as cost, sum(usage) as usage, sum(idle) as idle,
    sum(predictions)::BIGINT as predictions, sum(requests)::BIGINT as requests
from keyed
group by model, day
union all
select 'tenant', model, tenant, '', '', day, sum(usage), sum(usage), 0, sum(predictions)::BIGINT, sum(requests)::BIGINT
from keyed
where tenant <> ''
group by model, tenant, day
union all
select 'feature', model, '', feature, '', day, sum(usage), sum(usage), 0, sum(predictions)::BIGINT, sum(requests)::BIGINT
from keyed
where feature <> ''
group by model, feature, day
union all
select 'resource', '', '', '', resource_id, day,
    sum(usage_cost) + sum(idle_cost), sum(usage_cost), sum(idle_cost), 0, 0
from unit_windows
where day >= $start and day < $end and resource_id <> ''
group by resource_id, day
order by all
