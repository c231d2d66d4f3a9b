-- Grain: one row per request that the unit served in the window, with its team and its weight by the measure.
-- Rule:  each stands under a key of its own, the number in place of its tenant; a cached one weighs nothing.
with weighed as (
    select weights.key_id, {part} as weight
    from request_weights as weights
    join single_member as member using (day, unit_set)
    union all
    select weights.key_id, {weight}
    from request_weights as weights
    join single_asked as member using (day, key_id)
),
numbered as (
    select key.tenant::bigint as number, any_value(key.team) as team, sum(weighed.weight)::hugeint as weight
    from request_keys as key
    left join weighed using (key_id)
    where key.tenant <> ''
    group by key.tenant
)
select candidate.* exclude (number, wanted, team, hour), numbered.team, date_trunc('hour', candidate.time) as hour,
    coalesce(numbered.weight, 0)::decimal(38, 0) as weight
from candidate
join numbered using (number)
where candidate.wanted and (numbered.weight is not null or candidate.cached)
