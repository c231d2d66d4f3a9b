-- Grain: one row per owner entry with a cost centre.
-- Rule:  as in force in the last moment before $end: valid_from included, valid_to excluded, empty is open.
-- Holds: at most one row per kind and name, as the owners table has no overlaps.
select kind, name, team, cost_center
from owners
where cost_center <> ''
    and (valid_from is null or valid_from < $end)
    and (valid_to is null or valid_to >= $end)
order by all
