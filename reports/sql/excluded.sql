-- Grain: one row per period and excluded charge.
-- Rule:  the part of each charge that falls on the days asked for, with the rule that excluded it.
-- Holds: what is here is in no allocation.
select {period} as period, source, billing_account, billing_period, file, line,
    resource_id, service_category, service_name, rule,
    sum(cost) as cost, $currency as currency
from charge_days
where disposition = 'exclude' and day >= $start and day < $end {billing_period}
group by all
order by period, source, billing_account, billing_period, file, line
