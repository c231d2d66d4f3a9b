-- Grain: one row per roll-up row under an idle unit, in the span of the {stage}: the day, or the 7 days before it.
create table {stage}_span as
select unit, '{stage}' as span, $day_start as span_start, * exclude (unit)
from {stage}_request;

insert into looked_at_key
select * from request_keys
where (day, key_id) in (select day, key_id from {stage}_span);
