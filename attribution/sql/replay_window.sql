-- Of a replayed day, what one unit got in one window stays: what is asked of its requests looks at nothing else.
delete from unit where unit <> $unit;
delete from day_total where unit <> $unit;
delete from busy_cost
where unit <> $unit or hourly <> $hourly or window_start::timestamp <> $window;
delete from trace where cost_id not in (select cost_id from busy_cost);
