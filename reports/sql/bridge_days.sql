-- Grain: one row per source, billing account, billing currency and UTC day of a billing period.
-- Rule:  what the bill holds of the day beside what the attribution took up of it, both in billing currency; a day
--        whose parts are all 0 (of a commitment's purchase) has nothing to attribute and no row.
-- Holds: `charged` sums to the effective cost of the period exactly.
select source, billing_account, currency, day,
    sum(charged)::DECIMAL(38, 12) as charged,
    sum(taken_up)::DECIMAL(38, 12) as taken_up
from (
    select source, billing_account, currency, day, part as charged, 0::DECIMAL(38, 12) as taken_up
    from ({charge_parts})
    where part <> 0
    union all
    select source, billing_account, original_currency, day, 0, original_cost
    from charge_days
    where billing_period = $period and original_cost <> 0
)
group by all
order by all
