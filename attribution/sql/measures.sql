-- Grain: one row per unit and span.
-- Rule:  the best measure that all its uncached successful requests have; none succeeded: all uncached ones.
--        A span whose weights sum to 0 has no weight, and the next measure is not tried.
create table {stage}_measure as
with total as (
    select unit, span, span_start, any_value(unit_kind) = 'api' as metered,
        sum(succeeded) as succeeded, sum(uncached) as uncached, {total_sums}
    from {stage}_span
    group by unit, span, span_start
)
select unit, span, span_start,
    case when metered then case {metered_measure} else 'requests' end
        else case {measure} else 'requests' end end as measure
from total
where uncached > 0;

-- Grain: one row per unit, span, {time} and key, with a weight.
create table {stage}_weight as
select unit, span, span_start, measure, {time}, key_id, sum(weight)::hugeint as weight
from (
    select request.*, measured.measure,
        case measured.measure {weight_of} end as weight
    from {stage}_span as request
    join {stage}_measure as measured using (unit, span, span_start)
)
where weight > 0
group by unit, span, span_start, measure, {time}, key_id;

create table {stage}_total as
select unit, span, span_start, measure, sum(weight)::hugeint as weight
from {stage}_weight
group by unit, span, span_start, measure;
