-- Grain: one row per request of the day, with only what decides shares and counts.
-- Plain SQL over integers, so that every engine gives the same digits; each has its own word for a time in microseconds.
select hour, key_hash, place_hash, succeeded, cached, predictions, value,
    input_tokens, cached_input_tokens, output_tokens, gpu_micro_ms, latency_micro_ms,
    ttft_micro_ms is not null and latency_micro_ms is not null as timed,
    {microseconds} + (ttft_micro_ms + 500) // 1000 as decode_start,
    {microseconds} + (latency_micro_ms + 500) // 1000 as decode_end,
    null::bigint as share
from requests
where {which}
