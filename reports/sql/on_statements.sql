-- Grain: one row per allocation, with the statement that it is on.
-- Rule:  an allocation with a team is on the team's statement; one with any other key on `no-owner`; one with no key
--        at all on `platform`. A statement's month is the billing period.
-- Holds: every allocation of the periods is on exactly one statement.
select billing_period as period,
    {statement} as statement,
    * exclude (billing_period)
from {allocations}
where list_contains($periods::VARCHAR[], billing_period)
