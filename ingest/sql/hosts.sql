-- Grain: one row per line of hosts.csv.
-- Rule:  empty dates are open; valid_from is included, valid_to is not.
-- Holds: no line is left out; `reason` says why one cannot be used.
select file, line, host, resource_id, moment(valid_from) as valid_from, moment(valid_to) as valid_to,
    case
        when malformed is not null then malformed
        when host is null then 'host is missing'
        when resource_id is null then 'resource_id is missing'
        when valid_from is not null and moment(valid_from) is null then 'valid_from is no time: ' || valid_from
        when valid_to is not null and moment(valid_to) is null then 'valid_to is no time: ' || valid_to
        when moment(valid_to) <= moment(valid_from) then 'valid_to is not after valid_from'
    end as reason
from catalogue_text
