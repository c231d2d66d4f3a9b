-- Grain: one row per source, billing account, billing currency and what became of the charges.
-- Rule:  excluded by a rule of the policy and excluded because none matched are told apart.
-- Holds: `original` sums to what the attribution took up of the period.
select source, billing_account, original_currency as currency,
    case
        when disposition = 'unconverted' then 'unconverted'
        when disposition = 'exclude' and rule = 'default:exclude' then 'excluded_by_default'
        when disposition = 'exclude' then 'excluded_by_rule'
        else 'attributed'
    end as became,
    sum(original_cost)::DECIMAL(38, 12) as original,
    coalesce(sum(cost), 0)::DECIMAL(38, 12) as cost
from charge_days
where billing_period = $period
group by all
order by all
