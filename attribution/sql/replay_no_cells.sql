-- Grain: as in shared.sql, where no pool is asked for.
create table pool_cell (pool varchar, hour timestamptz, cell_key integer, weight hugeint);
