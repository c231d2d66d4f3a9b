-- Grain: one row per request of a day, as ingest would have put them in force; `$rows` of them, and at least one a key.
-- Rule:  as many of each key as its size of the day; on the GPUs of a node of the model.
with counted as (
    select *, greatest(1, weight * $rows // sum(weight) over ())::bigint as requests
    from asked
    where day = $day
),
drawn as (
    select counted.*, unnest(range(requests)) as number, asker * 10000000 + number as i
    from counted
)
select 'gateway' as source, day, 'r-' || i || '-' || day as request_id,
    day::timestamptz + to_milliseconds((86399999 * chance(i, 20))::bigint) as time,
    drawn.model, model_version, feature, tenant, team, environment, region, endpoint, provider, project,
    coalesce(machine.host, '') as host, '' as resource_id, '' as namespace, '' as pod,
    case when machine.host is null then []::varchar[] else [machine.host || '-gpu-' || (8 * chance(i, 21))::integer % 8] end as gpu_uuids,
    (20 + 4000 * chance(i, 22) ** 2)::bigint as input_tokens, 0 as cached_input_tokens,
    (5 + 600 * chance(i, 23) ** 2)::bigint as output_tokens,
    case when machine.host is not null then (100 + 3000 * chance(i, 23) ** 2)::bigint * 1000000 end as gpu_micro_ms,
    (150 + 4000 * chance(i, 23) ** 2)::bigint * 1000000 as latency_micro_ms,
    null as ttft_micro_ms, null as queue_micro_ms, null as batch_size,
    case when chance(i, 24) < 0.01 then '500' else '200' end as status, chance(i, 24) >= 0.01 as succeeded,
    chance(i, 25) < 0.02 as cached, (chance(i, 24) >= 0.01)::bigint as predictions, null as value,
    0 as delivery, 'gateway.parquet' as file, i as line
from drawn
left join machine on machine.model = drawn.model_number
    and machine.replica = (100 * chance(i, 26))::integer
        % case when drawn.model_number < 6 then 5 when drawn.model_number < 12 then 2 else 1 end
