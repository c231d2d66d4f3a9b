-- Grain: one row per source, billing account, billing period and currency of the staged bill.
-- Rule:  a charge's last day is the one that its last moment is in; a year's commitment is no news of today.
-- Holds: every usable row is in exactly one of them.
select source, billing_account, billing_period, currency,
    count(*) as rows,
    sum(billed_cost) as billed,
    sum(effective_cost) as effective,
    min(utc_day(charge_period_start)) as first_day,
    max(greatest(utc_day(charge_period_start), utc_day(charge_period_end - interval 1 microsecond))) as last_day,
    max(utc_day(charge_period_start)) as newest_day
from charge
group by all
order by all
