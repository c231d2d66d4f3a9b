-- Grain: one row per charge, as delivered.
-- Rule:  charges whose charge period starts on the days asked for; rule and disposition from the last attributed day of theirs,
--        empty where none of them is attributed yet.
-- Holds: every charge once.
with attributed as (
    select source, billing_account, billing_period, file, line,
        max_by(rule, day) as rule, max_by(disposition, day) as disposition
    from charge_days
    group by all
)
select {columns},
    charges.source as "x_Source",
    coalesce(attributed.rule, '') as "x_Rule",
    coalesce(attributed.disposition, '') as "x_Disposition"
from charges
left join attributed using (source, billing_account, billing_period, file, line)
where charge_period_start >= $start and charge_period_start < $end {source}
order by charges.source, charges.billing_account, charges.billing_period, charges.file, charges.line
