-- A span is a stretch of time over which a unit's requests are weighed together: an hour, the UTC day, or the
-- 7 days before it.
-- Grain: one row per window of a unit and hour in it.
create table window_span as
select unit, unit_kind, 'hour' as span, window_start as span_start, window_start as hour
from unit_window
where hourly
union all
select unit, unit_kind, 'day', $day_start, $day_start + to_hours(numbers.hour)
from unit_window
cross join range(24) as numbers (hour)
where not hourly;
