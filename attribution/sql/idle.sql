-- Grain: one row per hour and key with weight: the key reduced to model, team, environment and region.
-- Rule:  the team is the model's owner at the hour, else the key's; reduced_id ranks the reduced keys.
create table reduced_key as
with reduced as (
    select served.hour, served.key_id, key.model, coalesce(owner_now.team, key.team) as team,
        key.environment, key.region
    from (select distinct hour, key_id from window_weight) as served
    join request_keys as key on key.key_id = served.key_id and key.day = $day
    left join owner_now on owner_now.kind = 'model' and owner_now.name = key.model
        and owner_now.valid_from <= served.hour and owner_now.valid_to > served.hour
)
select *, dense_rank() over (order by model, team, environment, region) as reduced_id
from reduced;

-- Grain: one row per group, unit and cell of the window, keys reduced.
-- Rule:  under `owner` a unit's idle cost follows its weights.
create table idle_split as
with cell as (
    select weight.span_id, weight.hour, reduced_key.reduced_id,
        sum(weight.weight)::hugeint as weight
    from window_weight as weight
    join reduced_key using (hour, key_id)
    group by weight.span_id, weight.hour, reduced_key.reduced_id
)
select cost.cost_id as piece, cost.group_id, cost.idle_pico as piece_pico,
    cell.hour, cell.reduced_id, cost.measure, cell.weight
from busy_cost as cost
join cell using (span_id)
where cost.idle_pico <> 0 and $idle_policy = 'owner';
