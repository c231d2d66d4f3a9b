-- Grain: one row per day with requests that the {stage} weighs by what its roll-up left out: no unit of that day alone
--        can need it.
with needed as (
    select distinct measure from {stage}_measure where measure in ('batch_tokens', 'tokens', 'latency_ms')
),
lacking as (
    select weights.day, weights.hour, weights.unit_set, weights.key_id, needed.measure
    from request_weights as weights
    join needed on case needed.measure
        when 'batch_tokens' then weights.with_batch_tokens and weights.batch_tokens is null
        when 'tokens' then weights.with_tokens and weights.tokens is null
        when 'latency_ms' then weights.with_latency_ms and weights.latency_ms is null
        end
)
select distinct lacking.day
from lacking
join {stage}_span as span on span.hour = lacking.hour
join {stage}_measure as measured using (unit, span, span_start)
join (
    select unit, day, unit_set, null as key_id from {stage}_member
    union all
    select unit, day, null, key_id from {stage}_asked
) as member on member.unit = span.unit and member.day = cast(span.hour as date)
    and (member.unit_set = lacking.unit_set or member.key_id = lacking.key_id)
where measured.measure = lacking.measure
