-- Grain: one row per owner, in force on the day, of a model or feature of the chosen cells, models first.
with chosen as (
    select distinct 'model' as kind, model as name from traced where {cells}
    union
    select distinct 'feature', feature from traced where {cells}
)
select kind, name, team,
    cast(nullif(valid_from, timestamptz '0001-01-01') as timestamp) as valid_from,
    cast(nullif(valid_to, timestamptz '9999-01-01') as timestamp) as valid_to
from owner_now
join chosen using (kind, name)
order by kind desc, name, valid_from
limit 40
