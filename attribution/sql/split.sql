-- Grain: one row per row of {table}_running, with `share_pico`: its share of the piece by weight.
-- Rule:  the difference of two running totals, each cut toward zero, in the order of `seq`: `upto` of charges.sql,
--        with the quotient and the remainder of the piece by the total taken once.
-- Holds: the shares of a piece sum to it exactly. A total that 128 bits cannot take leaves share_pico NULL,
--        and the caller splits that piece in Python's integers.
create table {table}_shared as
with piece as (
    select piece, any_value(piece_pico // total) as quotient, any_value(piece_pico % total) as remainder
    from {table}_running
    group by piece
)
select whole.* exclude (total, running),
    case when total <= 13000000000000000000::hugeint
        then quotient * weight + (remainder * running) // total - (remainder * (running - weight)) // total
        end as share_pico
from {table}_running as whole
join piece using (piece);
