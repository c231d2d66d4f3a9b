-- Grain: one row: what the day's requests call for, and the largest of each of their numbers.
-- Plain SQL over integers, so that every engine gives the same digits.
select count(*) as requests,
    sum(case when not cached and timed then 1 else 0 end) as timed,
    sum(case when not cached and gpu_micro_ms is null then 1 else 0 end) as lacking,
    sum(case when cached or timed and input_tokens is not null and output_tokens is not null then 0 else 1 end)
        as not_batch_aware,
    max(input_tokens) as input_tokens, max(cached_input_tokens) as cached_input_tokens,
    max(output_tokens) as output_tokens, max(gpu_micro_ms) as gpu_ms, max(latency_micro_ms) as latency_ms,
    max(predictions) as predictions, max(value) as value, min(value) as least_value
from raw
