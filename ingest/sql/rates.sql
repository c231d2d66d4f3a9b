-- Grain: one row per line of rates.csv.
-- Rule:  a rate is one unit of the currency in reporting currency, more than 0, to 12 places.
-- Holds: no line is left out; `reason` says why one cannot be used.
select file, line, utc_day(calendar_time(date)) as date, upper(currency) as currency, money(rate) as rate,
    case
        when malformed is not null then malformed
        when calendar_time(date) is null then 'date is no date: ' || coalesce(date, 'missing')
        when not regexp_full_match(upper(currency), '[A-Z]{3}') or currency is null
            then 'currency is no ISO 4217 code: ' || coalesce(currency, 'missing')
        when money(rate) is null or money(rate) <= 0 then 'rate is no positive number: ' || coalesce(rate, 'missing')
    end as reason
from catalogue_text
