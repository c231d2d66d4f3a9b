-- Grain: one row per period, keys, both or neither, as asked for; period first. Where only some values of a key are
--        told apart, the others are one, NULL.
-- Rule:  costs by type beside what was served; of one billing period as in allocations.sql.
-- Holds: the costs sum to those of the allocations selected, the counts to those of the requests selected.
select {period} {keys}
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
from (
    select {moment} {gathered} cost_type, sum(cost) as cost,
        null as requests, null as failed_requests, null as cached_requests, null as predictions,
        null as input_tokens, null as output_tokens
    from {allocations}
    where day >= $start and day < $end {where} {billing_period}
    group by all
    union all
    select {moment} {gathered} null, null, sum(requests), sum(failed_requests), sum(cached_requests), sum(predictions),
        sum(input_tokens), sum(output_tokens)
    from {requests}
    where day >= $start and day < $end {where} {month}
    group by all
)
group by all
