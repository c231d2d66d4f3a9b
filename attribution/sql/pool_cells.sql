-- Adds the cells of a pool that follows what ran, weighed by its driver.
insert into pool_cell
select $pool, cell.hour, cell.cell_key, cell.{driver}
from cell
join day_key using (cell_key)
where cell.{driver} > 0 and {scope};
