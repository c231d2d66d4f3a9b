-- Grain: one row per currency without a rate.
-- Rule:  what stays out for want of a rate cannot be counted in the reporting currency, so it stands by itself.
-- Holds: every unconverted part of the days is in one row.
select original_currency as currency, sum(original_cost)::DECIMAL(38, 12) as cost
from {charge_days}
where day >= $start and day < $end and disposition = 'unconverted'
group by all
order by all
