-- Grain: one row per pair of lines that give a name two owners at one time.
-- Rule:  a span without start or end is open; the same line twice says nothing new.
-- Holds: where this is empty, a name has one owner at any moment.
select one.kind || ' ' || one.name || ' belongs to ' || one.team || ' (' || one.file || ', line ' || one.line
    || ') and to ' || two.team || ' (' || two.file || ', line ' || two.line || ') at one time' as conflict
from good as one
join good as two on one.kind = two.kind and one.name = two.name
    and (one.file, one.line) < (two.file, two.line)
    and (one.team, one.cost_center, one.owner_email, one.valid_from, one.valid_to)
        is distinct from (two.team, two.cost_center, two.owner_email, two.valid_from, two.valid_to)
    and coalesce(one.valid_from < two.valid_to, true) and coalesce(two.valid_from < one.valid_to, true)
order by one.line, two.line
