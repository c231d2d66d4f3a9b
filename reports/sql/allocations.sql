-- Grain: one row per period, the keys asked for, cost type and reason.
-- Rule:  costs and counts stand beside each other; counts on the usage row of their key, of cost 0 where it has none.
--        Of one billing period: the costs of its bills, and the requests of its calendar month.
-- Holds: costs sum to those of the allocations selected, counts to those of the requests selected; nothing twice.
with cost as (
    select {period} as period, {keys} cost_type,
        case when cost_type = 'unallocated' then reason else '' end as reason,
        sum(cost) as cost
    from {allocations}
    where day >= $start and day < $end {where} {billing_period}
    group by all
),
served as (
    select {period} as period, {keys} 'usage' as cost_type, '' as reason,
        sum(requests)::BIGINT as requests, sum(failed_requests)::BIGINT as failed_requests,
        sum(cached_requests)::BIGINT as cached_requests, sum(predictions)::BIGINT as predictions,
        sum(input_tokens)::BIGINT as input_tokens, sum(cached_input_tokens)::BIGINT as cached_input_tokens,
        sum(output_tokens)::BIGINT as output_tokens, sum(gpu_micro_ms) as gpu_micro_ms
    from {requests}
    where day >= $start and day < $end {where} {month}
    group by all
)
select period, {keys} cost_type, reason,
    coalesce(cost, 0)::DECIMAL(38, 12) as cost,
    requests, failed_requests, cached_requests, predictions,
    input_tokens, cached_input_tokens, output_tokens,
    -- 10^-9 s, written out: DuckDB divides decimals into doubles
    ((gpu_micro_ms // 1000000000)::VARCHAR || '.' || lpad((gpu_micro_ms % 1000000000)::VARCHAR, 9, '0'))
        ::DECIMAL(38, 9) as gpu_seconds
from cost
full join served using (period, {keys} cost_type, reason)
order by period, {keys} cost_type, reason
