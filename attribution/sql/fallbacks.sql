-- Grain: one row per group, unit and cost type that has no weight in its window, idle under `platform` left out.
create table stranded as
select row_number() over (order by cost_id, cost_type desc) as piece, *
from (
    select cost.cost_id, cost.group_id, cost.unit, cost.window_start, 'usage' as cost_type, cost.usage_pico as piece_pico
    from busy_cost as cost
    where cost.weight is null and cost.usage_pico <> 0
    union all
    select cost.cost_id, cost.group_id, cost.unit, cost.window_start, 'idle', cost.idle_pico
    from busy_cost as cost
    where cost.weight is null and cost.idle_pico <> 0 and $idle_policy <> 'platform'
);

-- Grain: one row per stranded cost and where it goes, at the window's first hour.
-- Rule:  the model that the rule names; the charge's model tag; the unit's weights of the day; those of the 7 days
--        before, keys reduced as for idle with the owner at the window's first hour.
create table stranded_split as
with named as (
    select stranded.piece, case when charge_group.disposition = 'model' then charge_group.target
        else charge_group.model_tag end as model
    from stranded
    join charge_group using (group_id)
),
known_weight as (
    select total.unit, total.measure, weight.key_id, weight.day, weight.weight
    from day_weight as weight
    join day_total as total using (span_id)
    union all
    select total.unit, total.measure, weight.key_id, weight.day, weight.weight
    from week_weight as weight
    join week_total as total using (span_id)
),
cell as (
    select stranded.piece, weight.measure, key.model, coalesce(owner_now.team, key.team) as team,
        key.environment, key.region, sum(weight.weight)::hugeint as weight
    from stranded
    join named on named.piece = stranded.piece and named.model = ''
    join known_weight as weight on weight.unit = stranded.unit
    join looked_at_key as key on key.day = weight.day and key.key_id = weight.key_id
    left join owner_now on owner_now.kind = 'model' and owner_now.name = key.model
        and owner_now.valid_from <= stranded.window_start and owner_now.valid_to > stranded.window_start
    group by stranded.piece, weight.measure, key.model, coalesce(owner_now.team, key.team),
        key.environment, key.region
)
select stranded.piece, stranded.cost_type, '' as reason, stranded.group_id, stranded.piece_pico,
    stranded.window_start as hour, named.model, coalesce(owner_now.team, '') as team, '' as environment,
    '' as region, '' as measure, 1::hugeint as weight
from stranded
join named on named.piece = stranded.piece and named.model <> ''
left join owner_now on owner_now.kind = 'model' and owner_now.name = named.model
    and owner_now.valid_from <= stranded.window_start and owner_now.valid_to > stranded.window_start
union all
select stranded.piece, stranded.cost_type, '', stranded.group_id, stranded.piece_pico,
    stranded.window_start, cell.model, cell.team, cell.environment, cell.region, cell.measure, cell.weight
from stranded
join cell using (piece)
union all
select stranded.piece, 'unallocated', 'no_requests', stranded.group_id, stranded.piece_pico,
    stranded.window_start, '', '', '', '', '', 1
from stranded
join named on named.piece = stranded.piece and named.model = ''
where stranded.unit not in (select unit from day_total) and stranded.unit not in (select unit from week_total);
