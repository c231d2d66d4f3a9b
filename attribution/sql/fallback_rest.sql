-- Grain: one row per unit without weight in some window and without any on the whole day.
create table week_unit as
select * from day_unit where unit not in (select unit from day_total);
