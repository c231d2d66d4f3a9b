-- Grain: `machine` one row per GPU node; `asker` one row per key that requests come with.
-- Rule:  20 models on 48 nodes and two metered APIs; 50 features of 12 teams; tenants with a long tail: the rank decides
--        how many features one uses, how much, and on how many days. `chance(i, salt)` is in [0, 1), the same for the same i.
-- Holds: the same numbers of tenants give the same rows.
create or replace macro chance(i, salt) as (hash(i * 1000 + salt) % 1000003) / 1000003.0;
create or replace macro named(word, n, width) as word || '-' || lpad(n::varchar, width, '0');

create table machine as
select row_number() over (order by model, replica) - 1 as machine, model, replica,
    named('i', row_number() over (order by model, replica) - 1, 4) as resource_id,
    named('node', row_number() over (order by model, replica) - 1, 3) as host,
    (31464000 + 137 * model + 11 * replica)::hugeint * 1000000 as price_pico -- of an hour
from range(18) as models (model), range(5) as replicas (replica)
where replica < case when model < 6 then 5 when model < 12 then 2 else 1 end;

create table feature as
select feature, feature % 12 as team, (20 * chance(feature, 1) ** 1.5)::integer % 20 as model,
    feature % 4 as endpoint
from range(50) as features (feature);

create table asker as
with used as (
    select tenant, (50 * chance(tenant * 32 + number, 2))::integer % 50 as feature, number,
        greatest(1, (24 / (tenant + 1) ** 0.3)::integer) as features
    from range($tenants) as tenants (tenant), range(24) as numbers (number)
    where number < features
),
asked as (
    select distinct used.tenant, feature.feature, feature.team, feature.endpoint,
        case when fallback = 0 then feature.model else (feature.model + 7) % 20 end as model, fallback, version, staging
    from used
    join feature using (feature)
    cross join range(2) as fallbacks (fallback)
    cross join range(2) as versions (version)
    cross join range(2) as stagings (staging)
    where (fallback = 0 or chance(used.tenant * 50 + feature.feature, 3) < 0.25)
        and (version = 0 or chance(used.tenant * 50 + feature.feature, 4) < 0.25)
        and (staging = 0 or used.tenant < 40 and version = 0 and fallback = 0)
)
select row_number() over (order by tenant, feature, model, version, staging) as asker,
    tenant as rank, model as model_number,
    named('model', model, 2) as model, 'v' || (model % 3 + version + 1) as model_version,
    named('feature', feature, 2) as feature, named('tenant', tenant, 4) as tenant, named('team', team, 2) as team,
    case staging when 1 then 'staging' else 'prod' end as environment,
    case tenant % 3 when 0 then 'us-east-1' when 1 then 'eu-west-1' else 'ap-southeast-2' end as region,
    case endpoint when 0 then '/v1/chat' when 1 then '/v1/embed' when 2 then '/v1/rank' else '/v1/read' end as endpoint,
    case when model >= 18 then 'openai' else '' end as provider,
    case when model >= 18 then named('project', team, 2) else '' end as project,
    1 + (1e7 / (tenant + 1) ** 1.1 * (0.2 + chance(tenant * 5000 + feature * 100 + model, 5))
        * case when fallback = 1 or version = 1 then 0.2 else 1 end
        * case staging when 1 then 0.05 else 1 end)::bigint as size
from asked;
