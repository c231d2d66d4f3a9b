-- Grain: one row per currency and day with a rate: the latest at or before it, at most 7 days old.
create table rate_of_day as
with foreign_day as (
    select distinct currency, cast(day as date) as day
    from (
        select currency, unnest(generate_series(
            date_trunc('day', charge_period_start),
            greatest(charge_period_start, charge_period_end - interval 1 microsecond),
            interval 1 day
        )) as day
        from (
            select distinct currency, charge_period_start,
                case when hourly then charge_period_start else charge_period_end end as charge_period_end
            from ruled
            where currency <> $currency
        )
    )
)
select foreign_day.currency, foreign_day.day, to_pico(arg_max(rates.rate, rates.date)) as rate
from foreign_day
join rates on rates.currency = foreign_day.currency
    and rates.date <= foreign_day.day and rates.date >= foreign_day.day - 7
group by foreign_day.currency, foreign_day.day;

-- Grain: one row per charge of the day: the part that falls in its window of this day.
-- Rule:  a longer charge is cut at UTC midnights in proportion to time; a foreign part is converted at its day's
--        rate, and a charge with any day without rate stays out whole.
create table part as
with cut as (
    select ruled.*,
        case when hourly then pico else
            upto(pico, least(epoch_us($day_end), epoch_us(charge_period_end))::hugeint
                    - epoch_us(charge_period_start), span)
            - upto(pico, greatest(epoch_us($day_start), epoch_us(charge_period_start))::hugeint
                    - epoch_us(charge_period_start), span)
        end as part_pico,
        case when hourly then 1
            else date_diff('day', charge_period_start, charge_period_end - interval 1 microsecond) + 1
            end as window_count
    from (
        select *, nullif(epoch_us(charge_period_end) - epoch_us(charge_period_start), 0)::hugeint as span
        from ruled
    ) as ruled
),
rated as (
    select cut.charge, count(rate_of_day.rate) as rated_count
    from cut
    left join rate_of_day on rate_of_day.currency = cut.currency
        and rate_of_day.day >= cast(cut.charge_period_start as date)
        and rate_of_day.day < cast(cut.charge_period_start as date) + cut.window_count::integer
    where cut.currency <> $currency
    group by cut.charge
)
select cut.* exclude (disposition),
    case when rated.charge is not null and rated.rated_count < cut.window_count
        then 'unconverted' else cut.disposition end as disposition,
    case when cut.currency = $currency then part_pico
        when rated.rated_count = cut.window_count then converted(part_pico, rate_of_day.rate)
        end as converted_pico,
    case when hourly then date_trunc('hour', charge_period_start) else $day_start end as window_start
from cut
left join rated on rated.charge = cut.charge
left join rate_of_day on rate_of_day.currency = cut.currency and rate_of_day.day = $day;

-- Grain: one row per group: charges alike in all that decides where their cost goes.
create table charge_group as
select row_number() over (order by window_start, source, rule, resource_id, model_tag, billing_account,
        billing_period, service_category, currency, target, project) as group_id, *
from (
    select source, rule, disposition, target, resource_id, hourly, window_start, model_tag,
        case when disposition = 'api' then project else '' end as project,
        billing_account, billing_period, service_category, currency, sum(converted_pico)::hugeint as pico
    from part
    where disposition in ('direct', 'model', 'api', 'pool')
    group by source, rule, disposition, target, resource_id, hourly, window_start, model_tag,
        case when disposition = 'api' then project else '' end,
        billing_account, billing_period, service_category, currency
)
where pico <> 0;
