-- Grain: one row per sample of a busy metric.
-- Rule:  a ratio is multiplied by 10^6, a percentage by 10^4, half up, and clamped to 0..10^6. NaN, infinities,
--        nothing at all and sentinels (2^62 and above) are no samples.
-- Holds: every other sample is here; `reason` says why one cannot be used.
with amounts as (
    select *, six_places(value_text) as amount from sample_text
),
read as (
    select *, case when amount is not null then true else is_number(value_text) end as numeric from amounts
)
select file, line,
    case
        when malformed is not null then malformed
        when uuid = '' then 'the UUID label is missing'
        when "time" is null then 'timestamp is no time: ' || coalesce(time_text, 'missing')
        when not numeric then 'value is no number: ' || value_text
    end as reason,
    utc_day("time") as day, uuid, instance, profile, gpu_model, metric, "time",
    case when numeric then case metric
        when 'DCGM_FI_PROF_GR_ENGINE_ACTIVE' then cast(greatest(0, least(1, amount)) * 1000000 as bigint)
        else cast(greatest(0, least(100, percent(value_text))) * 10000 as bigint)
    end end as busy,
    hosts, namespace, pod
from read
where malformed is not null
    or case
        when numeric then coalesce(amount < 4611686018427387904, false)
        else lower(trim(coalesce(value_text, ''))) not in (
            '', 'nan', '+nan', '-nan', 'inf', '+inf', '-inf', 'infinity', '+infinity', '-infinity', 'null'
        )
    end
