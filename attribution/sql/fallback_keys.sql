-- Adds the keys that were looked back at in the {stage}.
insert into looked_at_key
select key.*
from request_keys as key
join (select distinct day, key_id from {stage}_weight) as weight using (day, key_id);
