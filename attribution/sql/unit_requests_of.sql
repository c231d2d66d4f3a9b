-- Adds the requests of one kind of unit to {stage}_request.
insert into {stage}_request by name
select wanted.unit, wanted.unit_kind, roll.* {without_unit}
from (select distinct unit, unit_kind, uuid, model, provider, project from {units}) as wanted
join {found}
where wanted.unit_kind in ({kinds});
