-- Grain: one row per usable charge with a cost that may have more than 12 decimal places.
-- Rule:  at most 12 digits after the point and no exponent is exact as it was read; all else is looked at.
select source, billing_account, billing_period, currency,
    trim(billed_text) as billed_text, billed_cost, trim(effective_text) as effective_text, effective_cost
from charge
where not regexp_full_match(trim(coalesce(billed_text, '0')), '[+-]?\d*\.?\d{0,12}0*')
    or not regexp_full_match(trim(effective_text), '[+-]?\d*\.?\d{0,12}0*')
