-- Grain: one row per unit of {units} and set of units of a day that it is in: their requests are its own in part.
-- Rule:  the rest of a MIG GPU has the requests of all its instances.
create table {stage}_member as
with wanted as (select distinct unit, unit_kind, uuid from {units}),
sized as (select *, count(*) over (partition by day, unit_set) as size from unit_sets)
select wanted.unit, sized.day, sized.unit_set, sized.size
from wanted
join sized on sized.unit = wanted.unit
where wanted.unit_kind in ('gpu', 'mig', 'resource')
union all
select wanted.unit, sized.day, sized.unit_set, sized.size
from wanted
join sized on split_part(sized.unit, chr(31), 1) = 'i:' || wanted.uuid
where wanted.unit_kind = 'remainder';

-- Grain: one row per model or metered API among {units} and key of a day whose requests are its own, undivided.
create table {stage}_asked as
with wanted as (select distinct unit, unit_kind, model, provider, project from {units})
select wanted.unit, key.day, key.key_id
from wanted
join request_keys as key on key.model = wanted.model
where wanted.unit_kind = 'model'
union all
select wanted.unit, key.day, key.key_id
from wanted
join request_keys as key on key.provider = wanted.provider and key.project = wanted.project
where wanted.unit_kind = 'api' and wanted.model in ('', key.model);
