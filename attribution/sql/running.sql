-- Grain: one row per row of {table}, with the running total of the weights in its piece and their total.
create table {table}_running as
select *, sum(weight) over (partition by piece)::hugeint as total,
    sum(weight) over (partition by piece order by seq rows unbounded preceding)::hugeint as running
from {table};
