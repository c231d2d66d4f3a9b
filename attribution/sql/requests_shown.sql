-- Grain: one row per request behind, of those that the reader sees, the largest share first.
select source, request_id, cast(time as timestamp) as time, model, feature, tenant, team,
    input_tokens, cached_input_tokens, output_tokens,
    gpu_micro_ms::decimal(32, 0) * cast(0.000001 as decimal(6, 6)) as gpu_ms,
    latency_micro_ms::decimal(32, 0) * cast(0.000001 as decimal(6, 6)) as latency_ms,
    coalesce(nullif(status, ''), case when succeeded then 'ok' else 'failed' end) as status, cached, weight,
    to_cost(share_pico) as cost
from request_behind
where {seen}
order by abs(share_pico) desc, time, source, request_id
limit $limit offset $offset
