-- Grain: one row per charge of the groups: the line of the bill, and its part in the group's window.
select bill.group_id, part.file, part.line, part.service_name, part.currency, to_cost(part.part_pico) as original_cost,
    to_cost(part.converted_pico) as cost
from part
join charge_group as bill
    on bill.source = part.source and bill.rule = part.rule and bill.disposition = part.disposition
    and bill.target = part.target and bill.resource_id = part.resource_id and bill.hourly = part.hourly
    and bill.window_start = part.window_start and bill.model_tag = part.model_tag
    and bill.billing_account = part.billing_account and bill.billing_period = part.billing_period
    and bill.service_category = part.service_category and bill.currency = part.currency
    and (bill.disposition <> 'api' or bill.project = part.project)
where list_contains($groups::bigint[], bill.group_id)
order by bill.group_id, part.file, part.line
