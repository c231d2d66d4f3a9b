-- Grain: one row per published allocation of usage and idle: what `direct.sql` makes of the whole day.
create table direct_part as
select 0 as group_id, published.hour, day_key.cell_key, cost_type, reason, measure, to_pico(cost) as pico
from published
join day_key using ({keys})
where cost_type in ('usage', 'idle');
