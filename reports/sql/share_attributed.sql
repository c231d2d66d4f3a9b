-- Grain: one row.
-- Rule:  `reached` is what has a model or a team; `base` is all effective cost but what a rule of the policy excludes:
--        what is excluded because no rule matched is in it.
-- Holds: base = reached + adrift + excluded_by_default.
select
    (select coalesce(sum(cost), 0) from {allocation_days}
        where day >= $start and day < $end and (model <> '' or team <> ''))::DECIMAL(38, 12) as reached,
    (select coalesce(sum(cost), 0) from {allocation_days}
        where day >= $start and day < $end and model = '' and team = '')::DECIMAL(38, 12) as adrift,
    coalesce(sum(cost) filter (where disposition = 'exclude' and rule = 'default:exclude'), 0)::DECIMAL(38, 12)
        as excluded_by_default,
    coalesce(sum(cost) filter (where disposition = 'exclude' and rule <> 'default:exclude'), 0)::DECIMAL(38, 12)
        as excluded_by_rule
from {charge_days}
where day >= $start and day < $end
