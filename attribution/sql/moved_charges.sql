-- Grain: one row per rule that takes charges of the day now, rule that would, and where each sends them.
-- Rule:  `cost` is the charges' part of the day in the reporting currency, 0 where it has no rate.
select before.rule, trim(before.disposition || ' ' || before.target), part.rule,
    trim(part.disposition || ' ' || part.target),
    coalesce(to_cost(sum(part.converted_pico)::hugeint), 0)::decimal(38, 12) as cost
from charge_days as before
join part using (source, billing_account, billing_period, file, line)
where before.day = $day
    and (before.rule, before.disposition, before.target) <> (part.rule, part.disposition, part.target)
group by all
