"""FOCUS, the FinOps Open Cost and Usage Specification: its columns, 1.0 to 1.3.

In the warehouse a FOCUS column has its name in snake_case. Costs are DECIMAL(38,12), periods
TIMESTAMPTZ; all others, quantities and unit prices too, stay the text that was delivered.
Columns of a provider's own (`x_…`) are kept in the JSON object `extra`.
"""

import re

COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
COLUMNS = (
    "BillingAccountId BillingAccountName BillingAccountType BillingCurrency BillingPeriodStart BillingPeriodEnd "
    "ChargePeriodStart ChargePeriodEnd ChargeCategory ChargeClass ChargeDescription ChargeFrequency "
    "BilledCost EffectiveCost ListCost ContractedCost "
    "ListUnitPrice ContractedUnitPrice PricingCategory PricingQuantity PricingUnit PricingCurrency "
    "PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice "
    "ConsumedQuantity ConsumedUnit SubAccountId SubAccountName SubAccountType "
    "ProviderName PublisherName InvoiceIssuerName InvoiceId ServiceProviderName HostProviderName "
    "ServiceCategory ServiceSubcategory ServiceName SkuId SkuPriceId SkuMeter SkuPriceDetails "
    "ResourceId ResourceName ResourceType RegionId RegionName AvailabilityZone "
    "CapacityReservationId CapacityReservationStatus CommitmentDiscountCategory CommitmentDiscountId "
    "CommitmentDiscountName CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountQuantity "
    "CommitmentDiscountUnit AllocatedMethodId AllocatedMethodDetails AllocatedResourceId AllocatedResourceName "
    "AllocatedTags ContractApplied Tags"
).split()


def snake(column: str) -> str:
    """`BillingAccountId` → `billing_account_id`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower()


SNAKE = {column: snake(column) for column in COLUMNS}


def sql_type(column: str) -> str:
    if column in COSTS:
        return "DECIMAL(38,12)"
    return "TIMESTAMPTZ" if column in TIMES else "VARCHAR"
