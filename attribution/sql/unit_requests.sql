-- Grain: rows of the roll-ups in view under the units of {units} whose requests they are; a unit and key may have
--        several.
create table {stage}_request as
select '' as unit, '' as unit_kind, * exclude (unit) from unit_weights where false;
