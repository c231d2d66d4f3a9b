-- Grain: one row per pair of lines that give a currency two rates on one day.
-- Rule:  the same rate twice says nothing new.
-- Holds: where this is empty, a currency has one rate a day.
select one.currency || ' has the rates ' || one.rate || ' (' || one.file || ', line ' || one.line || ') and '
    || two.rate || ' (' || two.file || ', line ' || two.line || ') on ' || one.date as conflict
from good as one
join good as two on one.currency = two.currency and one.date = two.date and one.rate < two.rate
order by one.line, two.line
