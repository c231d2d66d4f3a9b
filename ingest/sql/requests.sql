-- Grain: one row per request of a log.
-- Rule:  id, time and model are needed; nothing is negative; cached input is part of the input; times are
--        millionths of a millisecond, half up. A status that is missing, ok or 2xx is a success.
-- Holds: no request is left out; `reason` says why one cannot be used.
select
    file, line,
    case
        when malformed is not null then malformed
        when coalesce(request_id, '') = '' then 'request_id is missing'
        when timestamp_value is null and coalesce("timestamp", '') = '' then 'timestamp is missing'
        when timestamp_value is null then 'timestamp is no time: ' || "timestamp"
        when coalesce(model, '') = '' then 'model is missing'
        when input_tokens_value is null and nullif(input_tokens, '') is not null
            then 'input_tokens is no whole number: ' || input_tokens
        when cached_input_tokens_value is null and nullif(cached_input_tokens, '') is not null
            then 'cached_input_tokens is no whole number: ' || cached_input_tokens
        when output_tokens_value is null and nullif(output_tokens, '') is not null
            then 'output_tokens is no whole number: ' || output_tokens
        when gpu_ms_value is null and nullif(gpu_ms, '') is not null then 'gpu_ms is no number: ' || gpu_ms
        when latency_ms_value is null and nullif(latency_ms, '') is not null
            then 'latency_ms is no number: ' || latency_ms
        when ttft_ms_value is null and nullif(ttft_ms, '') is not null then 'ttft_ms is no number: ' || ttft_ms
        when queue_ms_value is null and nullif(queue_ms, '') is not null then 'queue_ms is no number: ' || queue_ms
        when batch_size_value is null and nullif(batch_size, '') is not null
            then 'batch_size is no whole number: ' || batch_size
        when predictions_value is null and nullif(predictions, '') is not null
            then 'predictions is no whole number: ' || predictions
        when value_value is null and nullif("value", '') is not null then 'value is no amount: ' || "value"
        when cached not in ('true', 'false') and not regexp_full_match(lower(trim(cached)), '|true|false|1|0|yes|no')
            then 'cached is neither true nor false: ' || cached
        when least(input_tokens_value, cached_input_tokens_value, output_tokens_value, batch_size_value, predictions_value) < 0
            then 'a count is negative'
        when least(gpu_ms_value, latency_ms_value, ttft_ms_value, queue_ms_value) < 0 then 'a duration is negative'
        when cached_input_tokens_value > coalesce(input_tokens_value, cached_input_tokens_value)
            then 'cached_input_tokens is larger than input_tokens'
        when gpu_uuid is not null and gpu_uuid_value is null then 'gpu_uuid is neither a name nor a list of names: ' || gpu_uuid
    end as reason,
    utc_day(timestamp_value) as day,
    coalesce(request_id, '') as request_id,
    timestamp_value as "time",
    coalesce(model, '') as model,
    coalesce(model_version, '') as model_version,
    coalesce(feature, '') as feature,
    coalesce(tenant, '') as tenant,
    coalesce(team, '') as team,
    coalesce(environment, '') as environment,
    coalesce(region, '') as region,
    coalesce(endpoint, '') as endpoint,
    coalesce(provider, '') as provider,
    coalesce(project, '') as project,
    coalesce(host, '') as host,
    coalesce(resource_id, '') as resource_id,
    coalesce(namespace, '') as namespace,
    coalesce(pod, '') as pod,
    gpu_uuid_value as gpu_uuids,
    input_tokens_value as input_tokens,
    cached_input_tokens_value as cached_input_tokens,
    output_tokens_value as output_tokens,
    gpu_ms_value as gpu_micro_ms,
    latency_ms_value as latency_micro_ms,
    ttft_ms_value as ttft_micro_ms,
    queue_ms_value as queue_micro_ms,
    batch_size_value as batch_size,
    coalesce(status, '') as status,
    case
        when status is null or status in ('200', 'ok') then true
        else lower(trim(status)) in ('', 'ok') or regexp_full_match(trim(status), '2\d\d(\.0)?')
    end as succeeded,
    case when cached is null or cached = 'false' then false else lower(trim(cached)) in ('true', '1', 'yes') end as cached,
    coalesce(predictions_value, 1) as predictions,
    value_value as "value"
from log_text
