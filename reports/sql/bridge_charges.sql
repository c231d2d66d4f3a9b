-- Grain: one row per charge behind one step of the bridge.
-- Rule:  `amount` is the charge's part of the step, in billing currency.
-- Holds: the amounts sum to the step, up to the bill's own rounding; while days of a restated bill wait to be attributed
--        anew, their charges stand with their whole part and those of the earlier bill are not listed.
with became as (
    select file, line, string_agg(distinct rule, ', ') as rule,
        coalesce(sum(original_cost) filter (where disposition = 'unconverted'), 0) as unconverted,
        coalesce(sum(original_cost) filter (where disposition = 'exclude' and rule <> 'default:exclude'), 0)
            as excluded_by_rule,
        coalesce(sum(original_cost) filter (where disposition = 'exclude' and rule = 'default:exclude'), 0)
            as excluded_by_default,
        coalesce(sum(original_cost) filter (where disposition not in ('exclude', 'unconverted')), 0) as attributed
    from charge_days
    where source = $source and billing_account = $account and billing_period = $period
        and original_currency = $in_currency
    group by all
),
open_part as (
    select file, line, sum(part) as not_attributed
    from ({charge_parts})
    where source = $source and billing_account = $account and currency = $in_currency
        and list_contains($open_days::DATE[], day)
    group by all
),
every as (
    select charge.*,
        coalesce(became.rule, '') as rule,
        charge.billed_cost as invoice,
        charge.effective_cost - charge.billed_cost as timing,
        charge.effective_cost as effective,
        coalesce(unconverted, 0) as unconverted,
        coalesce(excluded_by_rule, 0) as excluded_by_rule,
        coalesce(excluded_by_default, 0) as excluded_by_default,
        coalesce(attributed, 0) as attributed,
        coalesce(not_attributed, 0) as not_attributed
    from charges as charge
    left join became using (file, line)
    left join open_part using (file, line)
    where source = $source and billing_account = $account and billing_period = $period
        and coalesce(billing_currency, $currency) = $in_currency
)
select file, line,
    timezone('UTC', charge_period_start) as charge_period_start, -- without a zone: in UTC
    timezone('UTC', charge_period_end) as charge_period_end,
    coalesce(charge_category, '') as charge_category,
    coalesce(charge_class, '') as charge_class,
    coalesce(service_name, '') as service_name,
    coalesce(nullif(allocated_resource_id, ''), resource_id, '') as resource_id,
    coalesce(charge_description, '') as description,
    rule, {step}::DECIMAL(38, 12) as amount,
    count(*) over () as charges
from every
where {step} <> 0
order by abs({step}) desc, file, line
limit $limit offset $offset
