-- Grain: one row per day with requests that the {stage} weighs by what its roll-up left out: no unit of that day alone
--        can need it.
select distinct weights.day
from {stage}_measure as measured
join {stage}_span as span using (unit, span, span_start)
join (
    select unit, day, unit_set, null as key_id from {stage}_member
    union all
    select unit, day, null, key_id from {stage}_asked
) as member on member.unit = span.unit and member.day = cast(span.hour as date)
join request_weights as weights on weights.hour = span.hour
    and (weights.unit_set = member.unit_set or weights.key_id = member.key_id)
where case measured.measure
    when 'batch_tokens' then weights.with_batch_tokens and weights.batch_tokens is null
    when 'tokens' then weights.with_tokens and weights.tokens is null
    when 'latency_ms' then weights.with_latency_ms and weights.latency_ms is null
    end
