-- Grain: one row per unit and span with uncached requests; span_id numbers them.
-- Rule:  the best measure that all its uncached successful requests have; none succeeded: all uncached ones.
create table {stage}_measure as
with of_set as (
    select hour, unit_set, succeeded, {with_measures}, sum(requests) as requests
    from request_weights
    where unit_set in (select unit_set from {stage}_member)
    group by hour, unit_set, succeeded, {with_measures}
),
counted as (
    select span.unit, span.unit_kind, span.span, span.span_start, weights.* exclude (hour, unit_set)
    from {stage}_span as span
    join {stage}_member as member on member.unit = span.unit and member.day = cast(span.hour as date)
    join of_set as weights on weights.hour = span.hour and weights.unit_set = member.unit_set
    union all by name
    select span.unit, span.unit_kind, span.span, span.span_start, weights.succeeded, {with_measures}, weights.requests
    from {stage}_span as span
    join {stage}_asked as member on member.unit = span.unit and member.day = cast(span.hour as date)
    join request_weights as weights on weights.hour = span.hour and weights.key_id = member.key_id
),
total as (
    select unit, span, span_start, any_value(unit_kind) = 'api' as metered, {measure_counts}
    from counted
    group by unit, span, span_start
)
select row_number() over (order by unit, span, span_start) as span_id, *,
    case when metered then case {metered_measure} else 'requests' end
        else case {measure} else 'requests' end end as measure
from total;
