-- Grain: one row per line of owners.csv.
-- Rule:  empty dates are open; valid_from is included, valid_to is not. A tenant or a team needs no team: its row
--        carries cost centre and mail only.
-- Holds: no line is left out; `reason` says why one cannot be used.
select file, line, lower(kind) as kind, name, coalesce(team, '') as team, coalesce(cost_center, '') as cost_center,
    coalesce(owner_email, '') as owner_email, moment(valid_from) as valid_from, moment(valid_to) as valid_to,
    case
        when malformed is not null then malformed
        when lower(kind) not in ('model', 'feature', 'tenant', 'team') or kind is null
            then 'kind is not model, feature, tenant or team: ' || coalesce(kind, 'missing')
        when name is null then 'name is missing'
        when team is null and lower(kind) in ('model', 'feature') then 'team is missing'
        when valid_from is not null and moment(valid_from) is null then 'valid_from is no time: ' || valid_from
        when valid_to is not null and moment(valid_to) is null then 'valid_to is no time: ' || valid_to
        when moment(valid_to) <= moment(valid_from) then 'valid_to is not after valid_from'
    end as reason
from catalogue_text
