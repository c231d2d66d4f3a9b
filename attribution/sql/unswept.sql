-- Grain: one row per day with requests that the {stage} weighs by their batch, and whose batch was not swept.
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
where measured.measure = 'batch_tokens' and weights.with_batch_tokens and weights.batch_tokens is null
