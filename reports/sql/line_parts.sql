-- Grain: one row per facet (day, tenant, …) and value of it, of one line of a statement.
-- Rule:  each facet cuts the whole line; a day is 'YYYY-MM-DD', a source stands with its billing account, chr(31) between them.
-- Holds: the costs of each facet sum to the line's exact cost.
select *
from (
    select part.facet as facet, part.value as value, sum(cost)::DECIMAL(38, 12) as cost
    from (
        select cost, unnest([
            struct_pack(facet := 'day', value := strftime(day, '%Y-%m-%d')),
            struct_pack(facet := 'tenant', value := tenant),
            struct_pack(facet := 'model', value := model),
            struct_pack(facet := 'model_version', value := model_version),
            struct_pack(facet := 'feature', value := feature),
            struct_pack(facet := 'environment', value := environment),
            struct_pack(facet := 'region', value := region),
            struct_pack(facet := 'endpoint', value := endpoint),
            struct_pack(facet := 'source', value := source || chr(31) || billing_account),
            struct_pack(facet := 'service_category', value := service_category),
            struct_pack(facet := 'measure', value := measure)
        ]) as part
        from ({line})
    )
    group by all
)
order by facet, case when facet = 'day' then value end, abs(cost) desc, value
