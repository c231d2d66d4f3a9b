-- Grain: one row per charge of the day, with the rule that took it and where it goes.
-- Rule:  the policy's first match; else a known resource is direct, a model tag goes to its model, the rest is excluded.
-- Known: in the inventory at the start of a day of the charge, or named on one of its days or of the 7 days before.
create table ruled as
with known as (
    select distinct charge.charge
    from charge_of_day as charge
    join resource_named as named on named.resource_id = charge.resource_id
        and named.day >= cast(charge.charge_period_start as date) - 7
        and named.day <= cast(greatest(charge.charge_period_start, charge.charge_period_end - interval 1 microsecond) as date)
    where charge.resource_id <> ''
    union
    select charge.charge
    from charge_of_day as charge
    join inventory_span as span on span.resource_id = charge.resource_id
    where greatest(span.first_midnight, date_trunc('day', charge.charge_period_start)) < span.until
        and greatest(span.first_midnight, date_trunc('day', charge.charge_period_start))
            <= greatest(charge.charge_period_start, charge.charge_period_end - interval 1 microsecond)
)
select charge.*,
    case when policy_rule.rule_number is not null then policy_rule.name
        when known.charge is not null then 'default:direct'
        when charge.model_tag <> '' then 'default:model'
        else 'default:exclude' end as rule,
    case when policy_rule.rule_number is not null then policy_rule.disposition
        when known.charge is not null then 'direct'
        when charge.model_tag <> '' then 'model'
        else 'exclude' end as disposition,
    case when policy_rule.rule_number is not null then policy_rule.target
        when known.charge is null and charge.model_tag <> '' then charge.model_tag
        else '' end as target
from charge_of_day as charge
left join policy_rule on policy_rule.rule_number = charge.rule_number
left join known on known.charge = charge.charge;
