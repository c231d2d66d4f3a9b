-- Grain: one row per source, billing account and billing currency of a billing period.
-- Rule:  the charges of record, each rounded to twelve places when it was delivered.
-- Holds: every charge of the period is in one row.
select source, billing_account, coalesce(billing_currency, $currency) as currency,
    count(*) as charges,
    sum(billed_cost)::DECIMAL(38, 12) as billed,
    sum(effective_cost)::DECIMAL(38, 12) as effective
from charges
where billing_period = $period
group by all
order by all
