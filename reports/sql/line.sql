-- Grain: one row per allocation of a day that is on one line of a statement.
-- Rule:  the line's key in full: see statement_lines.sql.
-- Holds: the costs sum to the line's exact cost.
select *
from ({on_statements})
where statement = $statement and cost_type = $cost_type and model = $model and feature = $feature
    and pool = $pool and reason = $reason
