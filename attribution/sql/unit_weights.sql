-- Grain: one row per unit, span, {time} and key, with a weight.
create table {stage}_weight as
with reach as (
    select measured.span_id, measured.measure, span.unit, span.hour, cast(span.hour as date) as day
    from {stage}_measure as measured
    join {stage}_span as span using (unit, span, span_start)
)
select span_id, {time}, key_id, sum(weight)::hugeint as weight
from (
    select reach.span_id, reach.hour, reach.day, weights.key_id,
        case reach.measure {part_of} else weights.requests * (1000000 // member.size) end as weight
    from reach
    join {stage}_member as member using (unit, day)
    join request_weights as weights on weights.hour = reach.hour and weights.unit_set = member.unit_set
    union all
    select reach.span_id, reach.hour, reach.day, weights.key_id,
        case reach.measure {weight_of} else weights.requests * 1000000 end
    from reach
    join {stage}_asked as member using (unit, day)
    join request_weights as weights on weights.hour = reach.hour and weights.key_id = member.key_id
)
where weight > 0
group by span_id, {time}, key_id;

-- Grain: one row per unit and span with a weight. Weights that sum to 0 are none, and no other measure is tried.
create table {stage}_total as
select measured.span_id, measured.unit, measured.span, measured.span_start, measured.measure,
    sum(weights.weight)::hugeint as weight
from {stage}_weight as weights
join {stage}_measure as measured using (span_id)
group by measured.span_id, measured.unit, measured.span, measured.span_start, measured.measure;
