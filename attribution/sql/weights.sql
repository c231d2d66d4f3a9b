-- Grain: one row per uncached request: the micro-weight by each measure, NULL where it lacks one.
-- Rule:  attribution.md, step 7; `share` is the mean of 1/n(t) in millionths, out of the sweep.
-- Units: weights of tokens and prices are in 10^-12 here, so every product is an integer, cut half up once.
create table request_weight as
with number as (
    select key.key_id,
        coalesce(own.input_pico, general.input_pico) as input_pico,
        coalesce(own.cached_input_pico, general.cached_input_pico) as cached_input_pico,
        coalesce(own.output_pico, general.output_pico) as output_pico,
        coalesce(own.weight_read_pico, general.weight_read_pico) as weight_read_pico,
        coalesce(own.context_pico, general.context_pico) as context_pico,
        price.input_pico as input_price, price.cached_input_pico as cached_input_price,
        price.output_pico as output_price
    from request_keys as key
    cross join (select * from token_weight where model is null) as general
    left join (select * from token_weight where model is not null) as own on own.model = key.model
    left join price on price.provider = key.provider and price.model = key.model
),
token as (
    select request_named.*, number.* exclude (key_id), decoding_share.share,
        greatest(input - coalesce(cached_input, 0), 0)::hugeint as fresh,
        coalesce(cached_input, 0)::hugeint as reused,
        output::hugeint as written
    from request_named
    join number on number.key_id = request_named.key_id
    left join decoding_share on decoding_share.request = request_named.request
    where not cached
)
select request, hour, placement, key_id, succeeded,
    gpu_micro_ms::hugeint as gpu_ms,
    case when share is not null and input is not null and output is not null then
        -- u + R*o*s + g/1000*o*(p + o/2), times 10^6; the denominator is 2000 * 10^12.
        (2 * (
            fresh * 2000 * 1000000000000 * 1000000
            + weight_read_pico * written * share * 2000
            + context_pico * written * (2 * input + written) * 1000000
        ) + 2000 * 1000000000000::hugeint) // (2 * 2000 * 1000000000000::hugeint)
    end as batch_tokens,
    case when input is not null and output is not null and input_price is not null then
        (2 * 1000000 * (fresh * input_price + reused * cached_input_price + written * output_price)
            + 1000000000000) // (2 * 1000000000000::hugeint)
    end as list_price,
    case when input is not null and output is not null then
        (2 * 1000000 * (fresh * input_pico + reused * cached_input_pico + written * output_pico)
            + 1000000000000) // (2 * 1000000000000::hugeint)
    end as tokens,
    latency_micro_ms::hugeint as latency_ms,
    1000000::hugeint as requests
from token;
