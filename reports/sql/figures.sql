-- Grain: one row per value of the columns asked for.
-- Rule:  the four cost types side by side, with the counts of what was served.
-- Holds: the four sum to what `allocated` holds for the periods [first, end).
select {columns}
    coalesce(sum(cost) filter (where cost_type = 'usage'), 0)::DECIMAL(38, 12) as usage,
    coalesce(sum(cost) filter (where cost_type = 'idle'), 0)::DECIMAL(38, 12) as idle,
    coalesce(sum(cost) filter (where cost_type = 'shared'), 0)::DECIMAL(38, 12) as shared,
    coalesce(sum(cost) filter (where cost_type = 'unallocated'), 0)::DECIMAL(38, 12) as unallocated,
    coalesce(sum(requests), 0)::BIGINT as requests,
    coalesce(sum(failed_requests), 0)::BIGINT as failed_requests,
    coalesce(sum(cached_requests), 0)::BIGINT as cached_requests,
    coalesce(sum(predictions), 0)::BIGINT as predictions,
    coalesce(sum(input_tokens), 0)::BIGINT as input_tokens,
    coalesce(sum(output_tokens), 0)::BIGINT as output_tokens
from allocated
where period >= $first and period < $end
group by all
