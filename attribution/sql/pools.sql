-- Grain: one row per pool and value of the one column that it is spread over, `even` or `fixed`.
create table pool_alone (pool varchar, {key_columns}, weight hugeint);
