-- Grain: one row per pair of lines that put a host on two resources at one time.
-- Rule:  a span without start or end is open.
-- Holds: where this is empty, a host has one resource at any moment.
select one.host || ' is on ' || one.resource_id || ' (' || one.file || ', line ' || one.line || ') and on '
    || two.resource_id || ' (' || two.file || ', line ' || two.line || ') at one time' as conflict
from good as one
join good as two on one.host = two.host and one.resource_id < two.resource_id
    and coalesce(one.valid_from < two.valid_to, true) and coalesce(two.valid_from < one.valid_to, true)
order by one.line, two.line
