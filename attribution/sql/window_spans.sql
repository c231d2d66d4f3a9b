-- A span is a stretch of time over which a unit's requests are weighed together: an hour, the UTC day, or the
-- 7 days before it.
-- Grain: one row per window of a unit and roll-up row in it.
create table window_span as
select stretch.unit, 'hour' as span, stretch.window_start as span_start, request.* exclude (unit)
from unit_window as stretch
join window_request as request on request.unit = stretch.unit and request.hour = stretch.window_start
where stretch.hourly
union all
select stretch.unit, 'day', $day_start, request.* exclude (unit)
from unit_window as stretch
join window_request as request on request.unit = stretch.unit
where not stretch.hourly;
