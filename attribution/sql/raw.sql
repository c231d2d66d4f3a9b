-- Grain: one row per request of the day, with only what decides shares and counts.
create view raw as
select hour, key_hash, place_hash, succeeded, cached, predictions, value,
    input_tokens, cached_input_tokens, output_tokens, gpu_micro_ms, latency_micro_ms,
    ttft_micro_ms is not null and latency_micro_ms is not null as timed,
    epoch_us(time) + (ttft_micro_ms + 500) // 1000 as decode_start,
    epoch_us(time) + (latency_micro_ms + 500) // 1000 as decode_end,
    null::bigint as share
from requests;
