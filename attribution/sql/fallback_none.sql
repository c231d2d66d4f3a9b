-- Grain: no row: what unit_weights leaves where there is no unit to look at in the {stage}.
create table {stage}_weight as
select span_id, cast(hour as date) as day, key_id, weight from window_weight where false;

create table {stage}_total as
select * from window_total where false;
