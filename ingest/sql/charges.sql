-- Grain: one row per row of a bill.
-- Rule:  costs go from their text straight to 12 places; a missing period is taken from the other one, a missing
--        currency is the reporting currency. `unusable` says why a row cannot be loaded, `defect` what it lacks.
-- Holds: no row is left out.
with read as (
    select *,
        money(billed_cost) as billed, money(effective_cost) as effective,
        money(list_cost) as listed, money(contracted_cost) as contracted,
        moment(billing_period_start) as period_start, moment(billing_period_end) as period_end,
        moment(charge_period_start) as starts, moment(charge_period_end) as ends,
        case when tags is null then null
            when json_valid(tags) and json_type(tags) = 'OBJECT' then tags
            when json_valid('{' || tags || '}') then '{' || tags || '}'  -- Azure writes the members alone
        end as tag_object
    from bill_text
)
select file, line,
    coalesce($source, coalesce(provider_name, service_provider_name, publisher_name, 'unknown')
        || '/' || coalesce(billing_account_id, '')) as source,
    coalesce(billing_account_id, '') as billing_account,
    strftime(timezone('UTC', coalesce(period_start, starts)), '%Y-%m') as billing_period,
    coalesce(upper(billing_currency), $currency) as currency,
    billed_cost as billed_text, effective_cost as effective_text,
    case
        when effective is null then 'EffectiveCost is no amount: ' || coalesce(effective_cost, 'missing')
        when billed_cost is not null and billed is null then 'BilledCost is no amount: ' || billed_cost
        when malformed is not null then malformed
        when coalesce(starts, period_start) is null
            then 'ChargePeriodStart is no time: ' || coalesce(charge_period_start, 'missing')
    end as unusable,
    nullif(concat_ws('; ',
        case when billed_cost is null then 'BilledCost is missing: taken as 0' end,
        case when list_cost is not null and listed is null then 'ListCost is no amount: ' || list_cost end,
        case when contracted_cost is not null and contracted is null
            then 'ContractedCost is no amount: ' || contracted_cost end,
        case when starts is null
            then 'ChargePeriodStart is no time: ' || coalesce(charge_period_start, 'missing')
                || ', taken from BillingPeriodStart' end,
        case when ends is null then 'ChargePeriodEnd is no time: ' || coalesce(charge_period_end, 'missing')
            || ', taken as the start' end,
        case when ends < starts then 'ChargePeriodEnd is before ChargePeriodStart: taken as the start' end,
        case when billing_period_start is not null and period_start is null
            then 'BillingPeriodStart is no time: ' || billing_period_start end,
        case when tags is not null and tag_object is null then 'Tags is no JSON object' end
    ), '') as defect,
    * exclude (file, line, malformed, billed, effective, listed, contracted, period_start, period_end, starts,
        ends, tag_object)
    replace (
        coalesce(billed, 0) as billed_cost,
        effective as effective_cost,
        listed as list_cost,
        contracted as contracted_cost,
        coalesce(upper(billing_currency), $currency) as billing_currency,
        period_start as billing_period_start,
        period_end as billing_period_end,
        coalesce(starts, period_start) as charge_period_start,
        greatest(coalesce(ends, starts, period_start), coalesce(starts, period_start)) as charge_period_end,
        tag_object as tags
    )
from read
