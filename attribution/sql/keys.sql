-- Grain: one row per key that anything may be attributed to today; `cell_key` ranks the key columns, empty first.
-- From here on a cell is an hour and a cell_key.
create table day_key as
with named as (
    select {keys} from request_keys where day = $day
    union all by name
    select distinct model, team, environment, region from reduced_key
    union all by name
    select distinct model, team, environment, region from stranded_split_shared
    union all by name
    select {keys} from pool_alone
    union all by name
    select '' as model
),
whole as (select distinct {plain_keys} from named)
select row_number() over (order by {keys})::integer as cell_key, {keys} from whole;

-- Grain: one row per key of the requests.
create table request_cell as
select key.key_id, day_key.cell_key
from request_keys as key
join day_key using ({keys})
where key.day = $day;

-- Grain: one row per key reduced for idle cost.
create table reduced_cell as
select distinct reduced.reduced_id, day_key.cell_key
from reduced_key as reduced
join {reduced_day_key} using (model, team, environment, region);
