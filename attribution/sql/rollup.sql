-- What a unit's or a key's requests can be weighed by. For each measure: `has_…` counts the uncached
-- successful requests that have it, `any_…` all uncached ones, `sum_…` their weights (one that lacks it: 0).
-- A window may sum these rows: the measure that all its requests have is found from the counts.

-- Grain: one row per hour, unit and key.
-- Rule:  a request's weight is divided (div) equally over its units.
create table unit_weights as
select $day as day, weight.hour, member.unit, weight.key_id,
    count(*) filter (where weight.succeeded) as succeeded, count(*) as uncached,
    {unit_sums}
from request_weight as weight
join placement_set as units using (placement)
join placement_unit as member using (placement)
group by weight.hour, member.unit, weight.key_id;

-- Grain: one row per hour and key: the same, undivided, for units that are a model or a metered API.
create table key_weights as
select $day as day, weight.hour, weight.key_id,
    count(*) filter (where weight.succeeded) as succeeded, count(*) as uncached,
    {key_sums}
from request_weight as weight
group by weight.hour, weight.key_id;

-- Grain: one row per hour and key: what was served, cached requests included.
create table request_hours as
with served as (
    select hour, key_id,
        count(*) as requests,
        count(*) filter (where not succeeded) as failed_requests,
        count(*) filter (where cached) as cached_requests,
        coalesce(sum(predictions) filter (where succeeded), 0)::bigint as predictions,
        coalesce(sum(input), 0)::bigint as input_tokens,
        coalesce(sum(cached_input), 0)::bigint as cached_input_tokens,
        coalesce(sum(output), 0)::bigint as output_tokens,
        sum(gpu_micro_ms)::hugeint as gpu_micro_ms,
        sum(value) as value
    from request_named
    group by hour, key_id
)
select key.day, {keys}, served.*
from served
join request_keys as key using (key_id);
