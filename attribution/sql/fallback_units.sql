-- Grain: one row per unit with cost and no weight in some window, and with no model to name instead.
create table day_unit as
select distinct unit.*
from unit
join busy_cost using (unit)
join charge_group using (group_id)
where busy_cost.weight is null and charge_group.disposition <> 'model' and charge_group.model_tag = '';

-- Grain: one row per day and key of the requests that are looked back at.
create table looked_at_key as
select * from request_keys where false;
