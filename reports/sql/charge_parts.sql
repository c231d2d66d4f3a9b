-- Grain: one row per charge of a billing period and UTC day of it.
-- Rule:  a charge of at most an hour is of the day in which it starts; a longer one is cut at midnights in proportion
--        to time, by differences of running totals cut toward zero. Counted anew from the charges, without what the
--        attribution wrote, so that the two can be held against each other.
-- Holds: the parts of a charge sum to its effective cost exactly.
select * exclude (pico, total, before, upto, hourly, day_start),
    cast(day_start as date) as day,
    cast((pico // total) * upto + ((pico % total) * upto) // total
        - (pico // total) * before - ((pico % total) * before) // total as decimal(38, 0))
        * cast(0.000000000001 as decimal(12, 12)) as part
from (
    select *,
        case when hourly then 1 else epoch_us(charge_period_end) - epoch_us(charge_period_start) end::hugeint as total,
        case when hourly then 0
            else greatest(epoch_us(day_start) - epoch_us(charge_period_start), 0) end::hugeint as before,
        case when hourly then 1
            else least(epoch_us(day_start + interval 1 day), epoch_us(charge_period_end))
                - epoch_us(charge_period_start) end::hugeint as upto
    from (
        select source, billing_account, file, line, coalesce(billing_currency, $currency) as currency,
            charge_period_start, charge_period_end,
            replace(cast(effective_cost as varchar), '.', '')::hugeint as pico,
            charge_period_end - charge_period_start <= interval 1 hour as hourly,
            unnest(case
                when charge_period_end - charge_period_start <= interval 1 hour
                    then [date_trunc('day', charge_period_start)]
                else generate_series(
                    date_trunc('day', charge_period_start),
                    charge_period_end - interval 1 microsecond,
                    interval 1 day)
            end) as day_start
        from charges
        where billing_period = $period
    )
)
