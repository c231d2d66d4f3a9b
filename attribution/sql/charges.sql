-- Money is split in units of 10^-12, by differences of running totals cut toward zero:
-- `upto` is pico * running div total, in parts that stay inside 128 bits.
create or replace macro upto(pico, running, total) as
    (pico // total) * running + ((pico % total) * running) // total;
create or replace macro to_pico(cost) as replace(cast(cost as varchar), '.', '')::hugeint;
create or replace macro to_cost(pico) as cast(pico as decimal(38, 0)) * cast(0.000000000001 as decimal(12, 12));
-- amount * rate / 10^12, half up away from zero, where both are in 10^-12.
create or replace macro converted(pico, rate) as
    (pico // 1000000000000::hugeint) * rate
    + ((pico % 1000000000000::hugeint) * rate
        + sign((pico % 1000000000000::hugeint))::hugeint * 500000000000::hugeint) // 1000000000000::hugeint;

-- Grain: one row per charge that has a window on this day.
-- Rule:  a charge of at most an hour belongs to the hour in which it starts, a longer one to every day it touches.
create table charge_of_day as
select row_number() over (order by source, billing_account, billing_period, file, line) as charge,
    source, billing_account, billing_period, file, line,
    coalesce(nullif(allocated_resource_id, ''), resource_id, '') as resource_id,
    coalesce(json_extract_string(tags, '/model'), '') as model_tag,
    coalesce(sub_account_id, '') as project,
    coalesce(service_category, '') as service_category,
    coalesce(service_name, '') as service_name,
    coalesce(billing_currency, $currency) as currency,
    charge_period_start, charge_period_end,
    charge_period_end - charge_period_start <= interval 1 hour as hourly,
    to_pico(effective_cost) as pico,
    {rule} as rule_number
from charges
where charge_period_start < $day_end and case
    when charge_period_end - charge_period_start <= interval 1 hour then charge_period_start >= $day_start
    else charge_period_end > $day_start end;
