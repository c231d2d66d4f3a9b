"""The bills: two clouds and a metered API, as FOCUS 1.2 files by billing month."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import numpy as np

from finops.core import focus
from finops.core.periods import midnight, next_month
from finops.sample.metrics import is_on
from finops.sample.organisation import (
    AWS_REGION,
    AZURE_REGION,
    GPUS,
    NODES,
    PRICES,
    SUBSCRIPTION,
    Node,
)
from finops.sample.stories import Plan
from finops.sample.traffic import Tokens

Row = dict[str, str]

_SINCE_1_3 = ("ServiceProviderName", "HostProviderName", "Allocated", "ContractApplied")
COLUMNS = [column for column in focus.COLUMNS if not column.startswith(_SINCE_1_3)]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EUR_PER_USD = Decimal("0.92")  # what the European price list was made with
PLAN_RATE = Decimal("23.40")  # an hour of the committed machine; 36.00 on demand
PLAN_COMMITMENT = Decimal("24.40")  # what is paid for each hour, used or not
SAVINGS_PLAN = "arn:aws:savingsplans::410022223333:savingsplan/7c2f1f0e-51f5-4c7a-9f0b-6a0c1c1d4b52"
_METERS = ("input", "cached input", "output")
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Seller:
    """Who bills: constant columns of each row."""

    provider: str
    account: str
    account_name: str
    sub_account: str
    sub_account_name: str
    currency: str
    region: str


AWS = Seller("AWS", "410011112222", "Fernhill payer", "410022223333", "inference-prod", "USD", AWS_REGION)
AZURE = Seller("Microsoft", "8611537", "Fernhill Europe", SUBSCRIPTION, "inference", "EUR", AZURE_REGION)
OPENAI = Seller("OpenAI", "org-fernhill", "Fernhill", "", "", "USD", "")


def aws_month(plan: Plan, first: date, seed: int, restated: bool = False) -> list[Row]:
    """Hour by hour for machines, day by day for the rest; tax and support once, as AWS does.

    `restated`: what arrives weeks later for the same month, corrections included.
    """
    rows = list[Row]()
    for index, day in _days(plan, first, plan.end):
        for node in NODES:
            if node.cloud == "aws" and is_on(node, plan, index):
                rows.extend(_aws_machine(node, midnight(day) + HOUR * hour) for hour in range(24))
        rows.extend(_commitment(midnight(day)))
        rows.extend(_daily(AWS, AWS_DAILY, index, day, seed))
    if not rows:
        return rows
    start, end = midnight(first), midnight(min(next_month(first), plan.end))
    spent = sum((Decimal(row["BilledCost"]) for row in rows), Decimal(0))
    rows.append(
        _charge(
            AWS,
            start,
            end,
            _cents(spent * Decimal("0.031")),
            ServiceName="AWS Support (Business)",
            ServiceCategory="Other",
            ChargeCategory="Purchase",
            ChargeFrequency="Recurring",
            ChargeDescription="AWS Support (Business)",
        )
    )
    rows.append(
        _charge(
            AWS,
            start,
            end,
            _cents(spent * Decimal("0.018")),
            ServiceName="Tax",
            ServiceCategory="Other",
            ChargeCategory="Tax",
            ChargeDescription="US sales tax",
        )
    )
    if restated:
        rows.extend(_corrections(first))
    if restated or next_month(first) < plan.end:
        for row in rows:
            row["InvoiceId"] = f"FH{first:%y%m}-{'2' if row['ChargeClass'] else '1'}"
    return rows


def azure_month(plan: Plan, first: date, seed: int) -> list[Row]:
    """Day by day, in euro, and a day behind: yesterday's charges are still to come."""
    rows = list[Row]()
    for index, day in _days(plan, first, plan.end - DAY):
        rows.extend(_azure_machine(node, midnight(day), day, plan) for node in NODES if node.cloud == "azure")
        rows.extend(_daily(AZURE, AZURE_DAILY, index, day, seed))
    if rows:
        start, end = midnight(first), midnight(min(next_month(first), plan.end - DAY))
        cost = Decimal("2.85") * (end - start).days
        rows.append(
            _charge(
                AZURE,
                start,
                end,
                cost,
                ServiceName="Standard Support",
                ServiceCategory="Other",
                ChargeCategory="Purchase",
                ChargeFrequency="Recurring",
                ChargeDescription="Support plan",
            )
        )
    return rows


def openai_month(plan: Plan, first: date, tokens: Tokens) -> list[Row]:
    """Day by day: tokens at list price, by project and model, and storage that names no model."""
    rows = list[Row]()
    for index, day in _days(plan, first, plan.end):
        start = midnight(day)
        for (asked, project, model), sums in sorted(tokens.sums.items()):
            if asked != index:
                continue
            for meter, price, count in zip(_METERS, PRICES[model], sums, strict=True):
                if count:
                    rows.append(_metered(start, project, model, meter, price, count))
        rows.append(
            _charge(
                OPENAI,
                start,
                start + DAY,
                Decimal("0.95"),
                SubAccountId="proj-catalogue",
                SubAccountName="proj-catalogue",
                ServiceName="File storage",
                ServiceCategory="AI and Machine Learning",
                ChargeDescription="Vector store storage",
                ConsumedQuantity="9.5",
                ConsumedUnit="GB-Days",
            )
        )
    return rows


def write_bill(path: Path, rows: Iterable[Row]) -> None:
    """A FOCUS file, gzipped where the name says so; the same rows give the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([row.get(column, "") for column in COLUMNS] for row in rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, 5, mtime=0) if path.suffix == ".gz" else content)


def total(rows: Iterable[Row]) -> Decimal:
    """The effective cost of a bill."""
    return sum((Decimal(row["EffectiveCost"]) for row in rows), Decimal(0))


def _days(plan: Plan, first: date, end: date) -> Iterator[tuple[int, date]]:
    """The month's days that the bill covers, with their numbers in the plan."""
    for index, day in enumerate(plan.days):
        if first <= day < min(next_month(first), end):
            yield index, day


def _charge(seller: Seller, start: datetime, end: datetime, cost: Decimal, **columns: str) -> Row:
    """A row whose four costs are `cost`, unless `columns` says otherwise."""
    month = start.date().replace(day=1)
    amount = f"{cost:f}"
    return {
        "BillingAccountId": seller.account,
        "BillingAccountName": seller.account_name,
        "BillingAccountType": "Billing Account",
        "BillingCurrency": seller.currency,
        "BillingPeriodStart": _time(midnight(month)),
        "BillingPeriodEnd": _time(midnight(next_month(month))),
        "ChargePeriodStart": _time(start),
        "ChargePeriodEnd": _time(end),
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeFrequency": "Usage-Based",
        "BilledCost": amount,
        "EffectiveCost": amount,
        "ListCost": amount,
        "ContractedCost": amount,
        "PricingCategory": "Standard",
        "PricingCurrency": seller.currency,
        "SubAccountId": seller.sub_account,
        "SubAccountName": seller.sub_account_name,
        "ProviderName": seller.provider,
        "PublisherName": seller.provider,
        "InvoiceIssuerName": seller.provider,
        "RegionId": seller.region,
        "RegionName": seller.region,
        "Tags": "{}",
        **columns,
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, rounding=ROUND_HALF_EVEN)


def _machine(node: Node, quantity: int, list_price: Decimal, price: Decimal) -> Row:
    """The columns of `quantity` hours of a machine."""
    return {
        "ServiceCategory": "Compute",
        "ServiceSubcategory": "Virtual Machines",
        "ResourceId": node.resource_id,
        "ResourceName": node.host,
        "ResourceType": "Virtual machine",
        "SkuId": node.instance_type,
        "SkuMeter": f"{node.instance_type} {'spot ' if node.spot and price < list_price else ''}hours",
        "ChargeDescription": f"{node.instance_type} per hour",
        "PricingQuantity": str(quantity),
        "PricingUnit": "Hours",
        "ConsumedQuantity": str(quantity),
        "ConsumedUnit": "Hours",
        "ListUnitPrice": f"{list_price:f}",
        "ContractedUnitPrice": f"{price:f}",
        "ListCost": f"{list_price * quantity:f}",
        "Tags": json.dumps(dict(node.tags)),
    }


def _aws_machine(node: Node, start: datetime) -> Row:
    columns = _machine(node, 1, node.hour_price, node.hour_price) | {
        "ServiceName": "Amazon Elastic Compute Cloud",
        "AvailabilityZone": f"{AWS_REGION}b",
    }
    if node is NODES[0]:
        columns |= _PLAN_COLUMNS | {
            "BilledCost": "0",
            "EffectiveCost": f"{PLAN_RATE:f}",
            "PricingCategory": "Committed",
            "CommitmentDiscountStatus": "Used",
            "CommitmentDiscountQuantity": f"{PLAN_RATE:f}",
        }
    return _charge(AWS, start, start + HOUR, node.hour_price, **columns)


_PLAN_COLUMNS = {
    "CommitmentDiscountCategory": "Spend",
    "CommitmentDiscountId": SAVINGS_PLAN,
    "CommitmentDiscountName": "One year, no upfront",
    "CommitmentDiscountType": "Compute Savings Plan",
    "CommitmentDiscountUnit": "USD",
}


def _commitment(start: datetime) -> list[Row]:
    """A day's fee, effective 0 as it covers usage, and the part of it that covered none."""
    fee, unused = PLAN_COMMITMENT * 24, (PLAN_COMMITMENT - PLAN_RATE) * 24
    common = _PLAN_COLUMNS | {
        "ServiceName": "AWS Savings Plans",
        "ServiceCategory": "Compute",
        "ResourceId": SAVINGS_PLAN,
    }
    paid = {
        "ChargeCategory": "Purchase",
        "ChargeFrequency": "Recurring",
        "ChargeDescription": "Savings plan fee",
        "EffectiveCost": "0",
        "ListCost": "0",
        "ContractedCost": "0",
        "PricingCategory": "Committed",
    }
    wasted = {
        "ChargeDescription": "Unused savings plan",
        "BilledCost": "0",
        "ListCost": "0",
        "ContractedCost": "0",
        "PricingCategory": "Committed",
        "CommitmentDiscountStatus": "Unused",
        "CommitmentDiscountQuantity": f"{unused:f}",
    }
    return [
        _charge(AWS, start, start + DAY, fee, **common | paid),
        _charge(AWS, start, start + DAY, unused, **common | wasted),
    ]


def _azure_machine(node: Node, start: datetime, day: date, plan: Plan) -> Row:
    """24 hours of a machine; the spot ones are bought on demand once there is no spot capacity."""
    on_demand = node.hour_price * EUR_PER_USD
    spot = node.spot and day < plan.spot_replaced
    price = GPUS[node.gpu].spot * node.gpus * EUR_PER_USD if spot else on_demand
    columns = _machine(node, 24, on_demand, price) | {
        "ServiceName": "Virtual Machines",
        "PricingCategory": "Dynamic" if spot else "Standard",
    }
    return _charge(AZURE, start, start + DAY, price * 24, **columns)


def _metered(start: datetime, project: str, model: str, meter: str, price: Decimal, count: int) -> Row:
    millions = Decimal(count) / 1_000_000
    return _charge(
        OPENAI,
        start,
        start + DAY,
        price * millions,
        SubAccountId=project,
        SubAccountName=project,
        ServiceName="API",
        ServiceCategory="AI and Machine Learning",
        ServiceSubcategory="Generative AI",
        SkuId=f"{model}, {meter}",
        SkuMeter=f"{meter} tokens",
        ChargeDescription=f"{model}, {meter} tokens",
        ListUnitPrice=f"{price:f}",
        ContractedUnitPrice=f"{price:f}",
        PricingQuantity=f"{millions:f}",
        PricingUnit="1M Tokens",
        ConsumedQuantity=str(count),
        ConsumedUnit="Tokens",
        Tags=json.dumps({"model": model}),
    )


@dataclass(frozen=True)
class Daily:
    """A charge of every day: about `cost`, and what makes it what it is."""

    cost: str
    service: str
    category: str
    what: str
    varies: float = 0.01
    resource: str = ""
    tags: str = "{}"
    charge: str = "Usage"
    publisher: str = ""


def _disks(cloud: str, name: Callable[[Node], str], cost: str) -> list[Daily]:
    service = "Amazon Elastic Block Store" if cloud == "aws" else "Storage"
    machines = [node for node in NODES if node.cloud == cloud and not node.story]
    return [Daily(cost, service, "Storage", "Volume", 0.0, name(node)) for node in machines]


_AZURE_GROUP = NODES[9].resource_id.split("/providers/")[0]
AWS_DAILY = (
    *_disks("aws", lambda node: "vol-0" + node.resource_id[3:], "1.28"),
    Daily("6.10", "Amazon Simple Storage Service", "Storage", "Model artefacts",
          resource="arn:aws:s3:::fernhill-models", tags='{"app": "model-store"}'),
    Daily("3.40", "Amazon Simple Storage Service", "Storage", "Request logs",
          resource="arn:aws:s3:::fernhill-logs"),
    Daily("5.52", "Amazon Elastic Compute Cloud", "Networking", "NAT gateway",
          resource="nat-0b1a5e2f0c9d4e7a1"),
    Daily("9.35", "AWS Data Transfer", "Networking", "Data transfer out", 0.02),
    Daily("2.40", "Amazon Elastic Kubernetes Service", "Compute", "Cluster hours", 0.0,
          f"arn:aws:eks:{AWS_REGION}:410022223333:cluster/inference"),
    Daily("4.20", "AmazonCloudWatch", "Management and Governance", "Metrics and logs", 0.02),
    Daily("38.40", "Amazon OpenSearch Service", "Databases", "Vector index", 0.0,
          f"arn:aws:es:{AWS_REGION}:410022223333:domain/passages",
          '{"team": "search", "feature": "semantic-search"}'),
    Daily("24.00", "NVIDIA AI Enterprise", "AI and Machine Learning", "Per GPU licence", 0.0,
          publisher="NVIDIA"),
    Daily("86.40", "Amazon Redshift", "Analytics", "Reporting warehouse", 0.0,
          f"arn:aws:redshift:{AWS_REGION}:410022223333:cluster/reporting", '{"team": "finance"}'),
    Daily("1.80", "AWS Lambda", "Compute", "Audio splitting", 0.02,
          f"arn:aws:lambda:{AWS_REGION}:410022223333:function/split-audio", '{"model": "whisper-large-v3"}'),
    Daily("0.90", "AWS Key Management Service", "Security", "Key requests"),
    Daily("0.35", "AWS Cost Explorer", "Management and Governance", "API requests"),
    Daily("-12.00", "AWS Activate", "Other", "Start-up credit", 0.0, charge="Credit"),
)  # fmt: skip
AZURE_DAILY = (
    *_disks("azure", lambda node: f"{_AZURE_GROUP}/providers/microsoft.compute/disks/{node.host}-os", "1.75"),
    Daily("7.20", "Bandwidth", "Networking", "Data transfer out", 0.02),
    Daily("2.21", "Azure Kubernetes Service", "Compute", "Uptime SLA", 0.0,
          f"{_AZURE_GROUP}/providers/microsoft.containerservice/managedclusters/aks-inference"),
    Daily("3.60", "Azure Monitor", "Management and Governance", "Log ingestion", 0.02,
          f"{_AZURE_GROUP}/providers/microsoft.operationalinsights/workspaces/log-inference"),
    Daily("4.10", "Azure Machine Learning", "AI and Machine Learning", "Label review", 0.02,
          f"{_AZURE_GROUP}/providers/microsoft.machinelearningservices/workspaces/labels",
          '{"app": "vision-labels"}'),
    Daily("41.00", "Azure Synapse Analytics", "Analytics", "Marketing reports", 0.0,
          f"{_AZURE_GROUP}/providers/microsoft.synapse/workspaces/marketing", '{"team": "marketing"}'),
    Daily("0.55", "Key Vault", "Security", "Operations"),
    Daily("5.40", "Tax", "Other", "Value added tax, not deductible", 0.0, charge="Tax"),
)  # fmt: skip


def _daily(seller: Seller, charges: tuple[Daily, ...], index: int, day: date, seed: int) -> Iterator[Row]:
    noise = np.random.default_rng([seed, 6, len(charges), index]).standard_normal(len(charges))
    start = midnight(day)
    for charge, swing in zip(charges, noise.tolist(), strict=True):
        cost = (Decimal(charge.cost) * Decimal(1 + charge.varies * swing)).quantize(Decimal("0.000001"))
        yield _charge(
            seller,
            start,
            start + DAY,
            cost,
            ServiceName=charge.service,
            ServiceCategory=charge.category,
            ChargeDescription=charge.what,
            ResourceId=charge.resource,
            ResourceName=charge.resource.rsplit("/", 1)[-1],
            ChargeCategory=charge.charge,
            PublisherName=charge.publisher or seller.provider,
            Tags=charge.tags,
        )


def _corrections(first: date) -> Iterator[Row]:
    """What the invoice had wrong: a machine that was down, a disk left out, and a credit for it."""
    t4 = next(node for node in NODES if node.gpu == "T4")
    down = midnight(first) + 17 * DAY + 3 * HOUR
    for hour in range(9):
        start = down + HOUR * hour
        columns = _machine(t4, -1, t4.hour_price, t4.hour_price) | {
            "ServiceName": "Amazon Elastic Compute Cloud",
            "ChargeClass": "Correction",
            "ChargeDescription": "Instance was not reachable",
        }
        yield _charge(AWS, start, start + HOUR, -t4.hour_price, **columns)
    day = midnight(first) + 20 * DAY
    yield _charge(
        AWS,
        day,
        day + DAY,
        Decimal("18.25"),
        ServiceName="Amazon Elastic Block Store",
        ServiceCategory="Storage",
        ChargeClass="Correction",
        ChargeDescription="Snapshots left out of the invoice",
        ResourceId="snap-0f3a9d5c1e7b2a684",
    )
    yield _charge(
        AWS,
        day,
        day + DAY,
        Decimal("-310.00"),
        ServiceName="AWS Activate",
        ServiceCategory="Other",
        ChargeCategory="Credit",
        ChargeClass="Correction",
        ChargeDescription="Service level credit",
    )
