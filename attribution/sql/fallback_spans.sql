-- Grain: one row per idle unit and hour in the span of the {stage}: the day, or the 7 days before it.
create table {stage}_span as
select units.unit, units.unit_kind, '{stage}' as span, $day_start as span_start, {first} + to_hours(numbers.hour) as hour
from (select distinct unit, unit_kind from {stage}_unit) as units
cross join range({hours}) as numbers (hour);
