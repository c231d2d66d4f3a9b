-- Grain: one row per span (true: now), model, tenant, feature and team.
-- Order: all columns: what is summed and rounded from it in turn comes out the same each time.
-- Rule:  usage and idle beside what was asked; an empty parameter is any.
-- Holds: usage and idle sum to those of the allocations selected.
select list_contains($now::DATE[], day) as is_now, model, tenant, feature, team,
    coalesce(sum(usage), 0)::DECIMAL(38, 12) as usage, coalesce(sum(idle), 0)::DECIMAL(38, 12) as idle,
    coalesce(sum(requests), 0)::BIGINT as requests, coalesce(sum(tokens), 0)::BIGINT as tokens
from (
    select day, model, tenant, feature, team, 0 as requests, 0 as tokens,
        case when cost_type = 'usage' then cost else 0 end as usage,
        case when cost_type = 'idle' then cost else 0 end as idle
    from allocation_days
    where cost_type in ('usage', 'idle')
    union all
    select day, model, tenant, feature, team, requests,
        coalesce(input_tokens, 0) + coalesce(output_tokens, 0), 0, 0
    from request_days
)
where list_contains($now::DATE[] || $before::DATE[], day)
    and $model in ('', model) and $tenant in ('', tenant) and $feature in ('', feature)
    and (len($teams::VARCHAR[]) = 0 or list_contains($teams::VARCHAR[], team))
group by all
order by all
