"""Who and what the sample organisation is, as tables: teams, tenants, machines, models, features."""

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha1
from uuid import NAMESPACE_DNS, uuid5

from finops.sample.stories import Plan

SUBSCRIPTION = "5d0c1f6e-8a52-4b0e-9d7f-3c1a6f20b7e4"
AWS_REGION, AZURE_REGION = "us-east-1", "westeurope"
LAUNCHED, IDLING_FOR, UNOWNED = "qwen3-32b", "llama-3.3-70b", "layout-ocr"
PLAYGROUND = "devbox-gpu-7"  # under a desk: its metrics arrive, no bill knows it
STAGING_TENANT = "internal-qa"

TEAMS = {  # team: cost centre
    "assistants": "CC-110",
    "search": "CC-120",
    "media": "CC-130",
    "trust": "CC-140",
    "devtools": "CC-150",
}

_TENANTS = """
    northwind-retail bluefjord-bank acorn-insurance helio-travel marlow-logistics pinecrest-health
    quarry-press sunbeam-energy tidewater-foods umbra-security vantage-motors willowbank-homes
    zephyr-air amberline-rail birchgate-legal coppermill-tools dovetail-furniture emberly-games
    foxglove-pharma granite-telecom harborview-hotels ironleaf-steel juniper-books kestrel-drones
    lantern-media mossgrove-farms nightjar-music oakhurst-schools pebble-toys quillon-papers
    rosewater-beauty saltmarsh-fishing thistle-outdoor underhill-wines velvetine-fashion
    wrenfield-clinics yarrow-tea zinnia-flowers alderway-cycling brightkiln-ceramics
"""
TENANTS = _TENANTS.split()


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU: its DCGM name and what an hour of it costs in USD."""

    dcgm_name: str
    on_demand: Decimal
    spot: Decimal


GPUS = {
    "H100": Gpu("NVIDIA H100 80GB HBM3", Decimal("4.50"), Decimal("1.50")),
    "A100": Gpu("NVIDIA A100 80GB PCIe", Decimal("2.50"), Decimal("0.85")),
    "L40S": Gpu("NVIDIA L40S", Decimal("1.80"), Decimal("0.60")),
    "L4": Gpu("NVIDIA L4", Decimal("0.81"), Decimal("0.81")),
    "T4": Gpu("Tesla T4", Decimal("0.53"), Decimal("0.53")),
}
CPU_NODE_HOUR = Decimal("0.14")


@dataclass(frozen=True)
class Node:
    """A machine; `labels`: how its exporter names pods (`pod`, `exported`, `node`) or does not (`host`)."""

    host: str
    cloud: str  # aws, azure; empty: nobody's bill
    instance_type: str
    gpu: str = ""
    gpus: int = 0
    metric: str = "ratio"  # ratio, percent, both
    labels: str = "host"
    tags: tuple[tuple[str, str], ...] = ()
    spot: bool = False
    story: str = ""  # idle, launch: the machine appears with that story

    @property
    def resource_id(self) -> str:
        if self.cloud == "aws":
            return "i-0" + sha1(self.host.encode()).hexdigest()[:16]
        return (
            f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-inference"
            f"/providers/microsoft.compute/virtualmachines/{self.host}"
        )

    @property
    def region(self) -> str:
        return AWS_REGION if self.cloud == "aws" else AZURE_REGION

    @property
    def hour_price(self) -> Decimal:
        """On demand, in USD."""
        return GPUS[self.gpu].on_demand * self.gpus if self.gpu else CPU_NODE_HOUR

    def uuid(self, index: int) -> str:
        return f"GPU-{uuid5(NAMESPACE_DNS, f'{self.host}/{index}')}"


def _tags(**tags: str) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", "-"), value) for name, value in tags.items())


_AWS_HOST = "ip-10-20-{}.ec2.internal".format
NODES = (
    Node(_AWS_HOST("1-11"), "aws", "p5.48xlarge", "H100", 8, labels="pod",
         tags=_tags(env="prod", team="assistants", model=IDLING_FOR)),
    Node(_AWS_HOST("2-21"), "aws", "g6.12xlarge", "L4", 4, "percent", "exported",
         tags=_tags(env="prod", team="assistants")),
    Node(_AWS_HOST("2-22"), "aws", "g6.12xlarge", "L4", 4, "both", "pod",
         tags=_tags(env="prod", team="search")),
    Node(_AWS_HOST("3-31"), "aws", "g4dn.12xlarge", "T4", 4, "percent"),
    Node(_AWS_HOST("4-41"), "aws", "m7i.large", tags=_tags(env="prod", team="trust")),
    Node(_AWS_HOST("4-42"), "aws", "m7i.large", tags=_tags(env="prod", team="trust")),
    Node(_AWS_HOST("4-43"), "aws", "m7i.large"),
    Node(_AWS_HOST("1-19"), "aws", "p5.4xlarge", "H100", 1, labels="pod", story="idle",
         tags=_tags(env="prod", model=IDLING_FOR, purpose="load-test")),
    Node(_AWS_HOST("5-51"), "aws", "g6e.12xlarge", "L40S", 4, story="launch",
         tags=_tags(env="prod", team="devtools", model=LAUNCHED)),
    Node("vm-answers-0", "azure", "Standard_NC80adis_H100_v5", "H100", 2, spot=True,
         tags=_tags(team="search")),
    Node("vm-answers-1", "azure", "Standard_NC80adis_H100_v5", "H100", 2, spot=True,
         tags=_tags(team="search")),
    Node("vm-answers-2", "azure", "Standard_NC80adis_H100_v5", "H100", 2, spot=True),
    Node("aks-mig-vmss000002", "azure", "Standard_NC48ads_A100_v4", "A100", 2, labels="pod",
         tags=_tags(team="media", env="prod")),
    Node("aks-code-vmss000004", "azure", "Standard_NC96ads_A100_v4", "A100", 4, labels="node",
         tags=_tags(team="devtools", env="prod")),
    Node(PLAYGROUND, "", "", "L4", 1, "percent"),
)  # fmt: skip
NODE = {node.host: node for node in NODES}

# Compute slices of the MIG machine: GPU index, GPU_I_ID, GPU_I_PROFILE. 1 of the 14 is not in use.
MIG_HOST = "aks-mig-vmss000002"
MIG = (
    (0, "1", "3g.40gb"), (0, "3", "2g.20gb"), (0, "9", "1g.10gb"), (1, "1", "4g.40gb"), (1, "2", "3g.40gb"),
)  # fmt: skip


@dataclass(frozen=True)
class Replica:
    """One server of a model: a machine, and its GPUs there or its MIG instances (indices into `MIG`)."""

    host: str
    gpus: tuple[int, ...] = ()
    slices: tuple[int, ...] = ()
    share: float = 1.0

    @property
    def units(self) -> list[tuple[int, str]]:
        """GPU and MIG instance (empty: none) of each."""
        return [(gpu, "") for gpu in self.gpus] + [MIG[index][:2] for index in self.slices]


@dataclass(frozen=True)
class Model:
    """A served model; `named_by`: what its log names (`pod`, `host`, `gpu_uuid`, `resource_id`, nothing)."""

    name: str
    team: str  # the owner; empty: nobody
    versions: tuple[str, ...]  # the second from Plan.upgrade
    named_by: str = ""
    busy: float = 0.0  # mean over a week
    replicas: tuple[Replica, ...] = ()
    provider: str = ""

    @property
    def namespace(self) -> str:
        return f"ml-{self.team or 'intake'}"

    def version(self, plan: Plan, index: int) -> str:
        """The version on the day number `index` of the plan."""
        return self.versions[-1 if index >= (plan.upgrade - plan.start).days else 0]

    def pod(self, version: str, replica: int) -> str:
        """As a Kubernetes Deployment names it: another version, another name."""
        digest = sha1(f"{self.name}/{version}".encode()).hexdigest()
        tail = sha1(f"{digest}/{replica}".encode()).hexdigest()[:5]
        return f"{self.name.replace('.', '-')}-{digest[:9]}-{tail}"


def _each(host: str, *gpus: int) -> tuple[Replica, ...]:
    """A server on each of the GPUs."""
    return tuple(Replica(host, (gpu,)) for gpu in gpus)


_REPLICAS = {
    "llama-3.3-70b": (Replica(_AWS_HOST("1-11"), tuple(range(8))),),
    "llama-3.1-8b": _each(_AWS_HOST("2-21"), 0, 1, 2, 3),
    "mistral-small-24b": tuple(Replica(f"vm-answers-{n}", (0, 1)) for n in range(3)),
    "qwen2.5-coder-32b": (Replica("aks-code-vmss000004", (0, 1, 2, 3)),),
    LAUNCHED: (Replica(_AWS_HOST("5-51"), (0, 1, 2, 3)),),
    "bge-m3": _each(_AWS_HOST("2-22"), 0, 1, 2),
    "bge-reranker-v2": _each(_AWS_HOST("2-22"), 3, 3),  # two share a GPU in turns
    "whisper-large-v3": _each(_AWS_HOST("3-31"), 0, 1, 2, 3),
    "product-vision": tuple(
        Replica(MIG_HOST, slices=(n,), share=share) for n, share in ((0, 3.0), (1, 2.0), (3, 4.0), (4, 3.0))
    ),
    UNOWNED: (Replica(MIG_HOST, slices=(2,)),),
    "fraud-gbm": tuple(Replica(_AWS_HOST(f"4-4{n}")) for n in (1, 2, 3)),
}


def _model(name: str, team: str, versions: str, named_by: str, busy: float) -> Model:
    return Model(name, team, tuple(versions.split()), named_by, busy, _REPLICAS[name])


MODELS = {
    model.name: model
    for model in (
        _model("llama-3.3-70b", "assistants", "v5 v6", "pod", 0.75),
        _model("llama-3.1-8b", "assistants", "v2", "pod", 0.25),
        _model("mistral-small-24b", "search", "2503", "host", 0.27),
        _model("qwen2.5-coder-32b", "devtools", "v1", "host", 0.22),
        _model(LAUNCHED, "devtools", "v1", "resource_id", 0.24),
        _model("bge-m3", "search", "1.0", "gpu_uuid", 0.23),
        _model("bge-reranker-v2", "search", "2.1", "pod", 0.28),
        _model("whisper-large-v3", "media", "v3", "gpu_uuid", 0.22),
        _model("product-vision", "media", "12 13", "pod", 0.74),
        _model(UNOWNED, "", "0.9", "pod", 0.20),
        _model("fraud-gbm", "trust", "2026.3 2026.4", "host", 0.0),
        Model("gpt-4.1", "media", ("",), provider="openai"),
        Model("gpt-4o", "trust", ("",), provider="openai"),
    )
}

# USD per 1M tokens: input, cached input, output.
PRICES = {
    "gpt-4.1": (Decimal("2"), Decimal("0.5"), Decimal("8")),
    "gpt-4o": (Decimal("2.5"), Decimal("1.25"), Decimal("10")),
}


@dataclass(frozen=True)
class Feature:
    """What requests are for: one stream of them to one model. Sizes are medians of one request."""

    name: str
    team: str  # the owner; empty: nobody
    model: str
    share: float  # per cent of all requests
    rhythm: str  # office, consumer, steady
    endpoint: str
    kind: str  # llm, api, batch (gpu_ms), audio, rows, pages: which measures its log has
    tokens: tuple[int, int] = (0, 0)  # input, output
    prefix: float = 0.0  # share of the input that the model has cached
    cached: float = 0.0  # share of requests answered from a cache of ours
    rows: int = 1  # predictions of a request
    ms: float = 0.0  # gpu_ms, latency, or an llm's time per output token
    project: str = ""
    valued: float = 0.0  # share of requests that earn a business unit


_CHAT, _COMPLETE = "/v1/chat/completions", "/v1/completions"
FEATURES = (
    Feature("chat-assistant", "assistants", "llama-3.3-70b", 16, "consumer", _CHAT, "llm", (2600, 620),
            prefix=0.3, ms=33),
    Feature("code-review", "devtools", "llama-3.3-70b", 4, "office", _CHAT, "llm", (6400, 540),
            prefix=0.4, ms=33),
    Feature("summaries", "assistants", "llama-3.1-8b", 9, "office", _COMPLETE, "llm", (3800, 560), ms=66),
    Feature("product-answers", "search", "mistral-small-24b", 10, "consumer", _CHAT, "llm", (1900, 780),
            cached=0.36, ms=42),
    Feature("code-completion", "devtools", "qwen2.5-coder-32b", 7, "office", _COMPLETE, "llm", (3200, 410),
            prefix=0.5, ms=31),
    Feature("code-migration", "devtools", LAUNCHED, 3, "steady", _CHAT, "llm", (5200, 900), ms=36),
    Feature("semantic-search", "search", "bge-m3", 14, "consumer", "/v1/embeddings", "batch", (24000, 0),
            cached=0.47, rows=96, ms=5200),
    Feature("passage-ranking", "search", "bge-reranker-v2", 6, "consumer", "/v1/rerank", "batch", (18000, 0),
            rows=50, ms=3100),
    Feature("catalogue-tagging", "media", "product-vision", 4, "steady", "/v2/models/vision/infer",
            "batch", rows=320, ms=64000, valued=0.9),
    Feature("transcription", "media", "whisper-large-v3", 2, "office", "/v1/audio/transcriptions", "audio",
            ms=118000),
    Feature("catalogue-copy", "media", "gpt-4.1", 7, "office", _CHAT, "api", (15000, 1400),
            prefix=0.3, project="proj-catalogue", valued=0.8),
    Feature("policy-review", "trust", "gpt-4o", 5, "office", _CHAT, "api", (13500, 850),
            project="proj-trust"),
    Feature("fraud-score", "trust", "fraud-gbm", 12, "consumer", "/predict", "rows",
            rows=260, ms=310, valued=0.02),
    Feature("document-intake", "", UNOWNED, 1, "office", "/ocr", "pages", (1100, 650), ms=5200),
)  # fmt: skip
PROMPT_CHANGED, STORMED = "catalogue-copy", "policy-review"
STORM_TENANT = TENANTS[5]
