-- Grain: one row per hour, key, place, outcome and measures that a request has: all that is asked of single requests.
-- Rule:  attribution.md, step 7. A weight is in 10^-6, half up, and divided (div) over the units of the place.
--        `share` is the mean of 1/n(t) in millionths, out of the sweep; NULL where the batch was not swept.
--        Only the weights that are asked for are summed.
-- Plain SQL over integers, so that every engine gives the same digits.
select request.hour, request.key_hash, request.place_hash, request.succeeded, request.cached,
    request.with_gpu_ms, request.timed, request.with_tokens, request.with_latency_ms,
    count(*) as requests,
    sum(request.predictions) as predictions,
    sum(request.input_tokens) as input_tokens,
    sum(request.cached_input_tokens) as cached_input_tokens,
    sum(request.output_tokens) as output_tokens,
    sum(request.value) as value,
    sum(request.gpu_micro_ms) as gpu_ms,
    sum(request.gpu_micro_ms // request.size) as part_gpu_ms{sums}
from (
    select weighed.*,
        weighed.gpu_micro_ms is not null as with_gpu_ms,
        weighed.input_tokens is not null and weighed.output_tokens is not null as with_tokens,
        weighed.latency_micro_ms is not null as with_latency_ms,
        (2 * (weighed.fresh * batch_fresh + weighed.output_tokens * weighed.share * batch_share
            + weighed.output_tokens * (2 * weighed.input_tokens + weighed.output_tokens) * batch_context)
            + batch_unit) // (2 * batch_unit) as batch_tokens,
        (2 * (weighed.fresh * price_fresh + weighed.reused * price_reused + weighed.output_tokens * price_written)
            + price_unit) // (2 * price_unit) as list_price,
        (2 * (weighed.fresh * token_fresh + weighed.reused * token_reused + weighed.output_tokens * token_written)
            + token_unit) // (2 * token_unit) as tokens
    from (
        select row.hour, row.key_hash, row.place_hash, row.succeeded, row.cached, row.timed, row.share,
            row.predictions, row.value, row.gpu_micro_ms, row.latency_micro_ms,
            row.input_tokens, row.cached_input_tokens, row.output_tokens,
            row.input_tokens - coalesce(row.cached_input_tokens, 0) as fresh,
            coalesce(row.cached_input_tokens, 0) as reused,
            placed.size,
            number.batch_fresh, number.batch_share, number.batch_context, number.batch_unit,
            number.price_fresh, number.price_reused, number.price_written, number.price_unit,
            number.token_fresh, number.token_reused, number.token_written, number.token_unit
        from {rows} as row
        join placed on placed.place_hash = row.place_hash and placed.hour = row.hour
        join number on number.key_hash = row.key_hash
        where {which}
    ) as weighed
) as request
group by request.hour, request.key_hash, request.place_hash, request.succeeded, request.cached,
    request.with_gpu_ms, request.timed, request.with_tokens, request.with_latency_ms
