-- Grain: one row per repeated sample of a unit, metric, time, namespace and pod that another one stands for.
-- Rule:  of samples that repeat one another the largest counts.
-- Holds: of each sample all places but one are here; the same whatever order they came in.
select place
from (
    select place, row_number() over (
        partition by day, uuid, instance, metric, "time", namespace, pod
        order by busy desc, hosts, profile, gpu_model, delivery
    ) as nth
    from repeated
)
where nth > 1
