-- Grain: one row per source of bills and day.
-- Rule:  days on which any charge of the source falls, attributed or excluded.
select distinct source, day
from {charge_days}
where day >= $start and day < $end
