-- Grain: one row per rule, service and resource whose charges a line of a statement comes from.
-- Rule:  of charges that went to a pool or to a named model: they meet the line's allocations in day, source, billing
--        account, service category and that name. What follows a machine or an API met the line in windows and units,
--        which only the explanation of a day knows.
-- Holds: `cost` is the charges' whole cost on those days, of which the line is a part.
select charge.source, charge.billing_account, charge.rule, charge.disposition, charge.target,
    charge.service_category, charge.service_name, charge.resource_id,
    count(distinct (charge.file, charge.line)) as charges,
    sum(charge.cost)::DECIMAL(38, 12) as cost
from charge_days as charge
semi join ({line}) as part
    on charge.day = part.day and charge.source = part.source
    and charge.billing_account = part.billing_account and charge.service_category = part.service_category
    and case charge.disposition
        when 'pool' then charge.target = part.pool
        when 'model' then charge.target = part.model and part.pool = ''
        else false
    end
where charge.billing_period = $period
group by all
order by abs(sum(charge.cost)) desc, charge.source, charge.billing_account, charge.rule, charge.target,
    charge.service_category, charge.service_name, charge.resource_id
