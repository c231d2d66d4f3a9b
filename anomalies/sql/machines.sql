-- Grain: one row per span (true: now) and resource.
-- Order: all columns: what is summed and rounded from it in turn comes out the same each time.
-- Rule:  hours are those of its units, so that a node of eight GPUs has 192 a day.
select list_contains($now::DATE[], day) as is_now, resource_id,
    sum(epoch(window_end) - epoch(window_start))::BIGINT as seconds,
    sum(usage_cost) as usage, sum(idle_cost) as idle
from unit_windows
where list_contains($now::DATE[] || $before::DATE[], day)
    and list_contains($resources::VARCHAR[], resource_id)
group by all
order by all
