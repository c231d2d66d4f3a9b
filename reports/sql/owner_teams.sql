-- Grain: one row per owner and team.
-- Rule:  who is named for a model, a feature or a team at the moment given; tenants are customers, and get none.
select owner_email, team
from (
    select owner_email, case when kind = 'team' and team = '' then name else team end as team
    from owners
    where kind in ('model', 'feature', 'team') and owner_email <> ''
        and (valid_from is null or valid_from <= $moment) and (valid_to is null or valid_to > $moment)
)
where team <> ''
group by all
order by all
