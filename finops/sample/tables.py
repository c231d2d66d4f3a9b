"""The tables a person keeps: hosts, owners, currency rates, and the attribution policy."""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np

from finops.sample.bills import EUR_PER_USD
from finops.sample.organisation import FEATURES, MODELS, NODES, PRICES, STAGING_TENANT, TEAMS, TENANTS
from finops.sample.stories import Plan


def hosts(plan: Plan) -> Iterator[tuple[str, ...]]:
    yield "host", "resource_id", "valid_from", "valid_to"
    since = {"idle": plan.left_running, "launch": plan.launch}
    for node in NODES:
        if node.cloud:
            yield node.host, node.resource_id, since[node.story].isoformat() if node.story else "", ""


def owners(plan: Plan) -> Iterator[tuple[str, ...]]:
    """One model has no owner; passage ranking and its model go from search to assistants."""
    yield "kind", "name", "team", "cost_center", "owner_email", "valid_from", "valid_to"
    handover = plan.handover.isoformat()
    for kind, name, team in [
        *(("model", model.name, model.team) for model in MODELS.values()),
        *(("feature", feature.name, feature.team) for feature in FEATURES),
    ]:
        if name in {"passage-ranking", "bge-reranker-v2"}:
            yield _owner(kind, name, team, "", handover)
            yield _owner(kind, name, "assistants", handover, "")
        elif team:
            yield _owner(kind, name, team)
    for number, tenant in enumerate([*TENANTS, STAGING_TENANT], start=1001):
        yield "tenant", tenant, "", f"C-{number}", f"{tenant}@example.com", "", ""
    for team in TEAMS:
        yield _owner("team", team, team)


def _owner(kind: str, name: str, team: str, since: str = "", until: str = "") -> tuple[str, ...]:
    return kind, name, team, TEAMS[team], f"{team}@example.com", since, until


def rates(plan: Plan, seed: int) -> Iterator[tuple[str, ...]]:
    """Euro rates of working days, from a week before the sample."""
    yield "date", "currency", "rate"
    rng, drift = np.random.default_rng([seed, 7]), 0.0
    day: date = plan.start - timedelta(days=7)
    while day < plan.end:
        drift = 0.9 * drift + 0.0012 * float(rng.standard_normal())
        if day.weekday() < 5:
            yield day.isoformat(), "EUR", f"{float(1 / EUR_PER_USD) * (1 + drift):.4f}"
        day += timedelta(days=1)


def policy() -> str:
    return _POLICY + "".join(
        f'\n[prices."openai/{model}"]\ninput = {price}\ncached_input = {cached}\noutput = {output}\n'
        for model, (price, cached, output) in PRICES.items()
    )


_POLICY = """\
# How Fernhill shares what its inference costs. The first rule that matches a charge decides;
# a charge that none matches follows its resource.

[idle]
policy = "owner"               # who runs a model pays for its idle GPUs

[tokens]
input = 1
cached_input = 0.1
output = 4
weight_read = 185
context = 1.5

[[rules]]
name = "tax"
when = { ChargeCategory = "Tax" }
then = { pool = "tax" }

[[rules]]
name = "support"
when = { ServiceName = ["AWS Support*", "Standard Support"] }
then = { pool = "support" }

[[rules]]
name = "unused commitment"
when = { CommitmentDiscountStatus = "Unused" }
then = { pool = "unused commitment" }

[[rules]]
name = "commitment fees"       # their effective cost is 0: the usage they cover carries it
when = { ChargeCategory = "Purchase", CommitmentDiscountId = "arn:aws:savingsplans*" }
then = { exclude = true }

[[rules]]
name = "account credits"
when = { ChargeCategory = "Credit", ResourceId = "" }
then = { pool = "credits" }

[[rules]]
name = "not inference"
when = { ServiceName = ["Amazon Redshift", "Azure Synapse*"] }
then = { exclude = true }

[[rules]]
name = "metered API"
when = { ProviderName = "OpenAI" }
then = { api = "openai" }

[[rules]]
name = "GPU licence"
when = { PublisherName = "NVIDIA" }
then = { pool = "GPU licence" }

[[rules]]
name = "vision labels"
when = { ServiceName = "Azure Machine Learning", "Tags.app" = "vision-*" }
then = { model = "product-vision" }

[[rules]]
name = "vector index"
when = { ServiceName = "Amazon OpenSearch Service", "Tags.team" = "search" }
then = { pool = "vector index" }

[[rules]]
name = "storage"
when = { ServiceCategory = "Storage" }
then = { pool = "storage" }

[[rules]]
name = "network"
when = { ServiceCategory = "Networking" }
then = { pool = "network" }

[[rules]]
name = "platform"
when = { ServiceName = ["*Kubernetes Service", "AmazonCloudWatch", "Azure Monitor"] }
then = { pool = "platform" }

[[pools]]
name = "tax"
driver = "direct_cost"

[[pools]]
name = "support"
driver = "direct_cost"

[[pools]]
name = "unused commitment"     # bought for the large model
driver = "usage_cost"
scope = { model = "llama-3.3-70b" }

[[pools]]
name = "credits"               # as agreed when the programme was joined
driver = "fixed"
over = "team"
shares = { assistants = 50, search = 20, media = 10, trust = 10, devtools = 10 }

[[pools]]
name = "GPU licence"
driver = "gpu_seconds"

[[pools]]
name = "vector index"
driver = "requests"
scope = { feature = "semantic-search" }

[[pools]]
name = "storage"
driver = "direct_cost"
scope = { environment = "prod" }

[[pools]]
name = "network"
driver = "tokens"

[[pools]]
name = "platform"
driver = "even"
over = "team"
"""
