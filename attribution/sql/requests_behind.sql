-- Grain: one row per request behind the chosen cells of a unit's window, with its share of what its cell got.
-- Rule:  a cell's cost follows the weights of its requests, in the order of time, as differences of running totals.
-- Holds: the shares of a cell's requests sum to what it got.
create table request_behind as
with cell as (
    select row_number() over () as cell, *
    from (
        select hour, {keys}, any_value(weight) as cell_weight, sum(pico)::hugeint as pico
        from traced
        where {cells}
        group by hour, {keys}
    )
),
behind as (
    select cell.cell, cell.cell_weight, cell.pico, request.* replace (request.weight::hugeint as weight),
        sum(request.weight::hugeint) over (
            partition by cell.cell order by request.time, request.source, request.request_id rows unbounded preceding
        )::hugeint as running
    from weighed_arrow as request
    join cell on {same_hour} and cell.model = request.model
    left join owner_now as owner on owner.kind = 'model' and owner.name = request.model
        and owner.valid_from <= cell.hour and owner.valid_to > cell.hour
    where {same}
)
select * exclude (running),
    upto(pico, running, cell_weight) - upto(pico, running - weight, cell_weight) as share_pico
from behind;
