-- The keys of idle cost that the published allocations have and the units left out would have made: pools are spread
-- over them, too. They are no one's in this replay: reduced_id is NULL.
insert into reduced_key by name
select distinct model, team, environment, region from published where cost_type in ('usage', 'idle');
