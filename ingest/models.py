"""What arrived: deliveries, their files, the bills' periods, and the rows we could not accept."""

from django.db import models


class Delivery(models.Model):
    """The files of one run of a source, loaded together or not at all."""

    class Kind(models.TextChoices):
        BILLING = "billing"
        GPU = "gpu"
        REQUESTS = "requests"
        HOSTS = "hosts"
        OWNERS = "owners"
        RATES = "rates"

    class State(models.TextChoices):
        STARTED = "started"  # being read, or its process was killed
        LOADED = "loaded"
        HELD = "held"  # waits for a person; its files are kept
        REJECTED = "rejected"  # refused by a person
        FAILED = "failed"  # nothing in it could be loaded
        SUPERSEDED = "superseded"  # replaced as a whole by a later one

    kind = models.CharField(max_length=10, choices=Kind.choices)
    source = models.CharField(max_length=200, blank=True)  # empty: a bill's provider and account, row by row
    format = models.CharField(max_length=20, default="auto")
    state = models.CharField(max_length=12, choices=State.choices, default=State.STARTED)
    fingerprint = models.CharField(max_length=64)  # of kind, source and the files' bytes
    started = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True)
    snapshot = models.BigIntegerField(null=True)  # the commit that put it in force
    rows = models.BigIntegerField(default=0)  # in the warehouse because of it
    bad_rows = models.BigIntegerField(default=0)
    duplicate_rows = models.BigIntegerField(default=0)
    newest_day = models.DateField(null=True)  # the last UTC day it has data of
    total = models.TextField(blank=True)  # of a bill: effective cost by currency, in the digits delivered
    expected_total = models.TextField(blank=True)
    message = models.TextField(blank=True)  # why it is held, failed or replaced
    replaced_by = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="replaces")

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        indexes = [models.Index(fields=["fingerprint", "state"]), models.Index(fields=["kind", "state"])]

    def __str__(self) -> str:
        return f"{self.kind} delivery {self.pk} ({self.state})"


class DeliveryFile(models.Model):
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=400)  # as problems and charges name it
    path = models.TextField()  # where it was found
    sha256 = models.CharField(max_length=64, db_index=True)
    size = models.BigIntegerField()
    modified_ns = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class BilledPeriod(models.Model):
    """What one delivery said about a billing period, by currency, in the digits it was written in.

    In force at snapshot S where since_snapshot <= S and (until_snapshot is null or > S).
    """

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="periods")
    source = models.CharField(max_length=300)
    billing_account = models.CharField(max_length=200)
    billing_period = models.CharField(max_length=7)
    currency = models.CharField(max_length=10)
    rows = models.BigIntegerField()
    billed_cost = models.TextField()  # the exact sum of the original digits
    effective_cost = models.TextField()
    newest_day = models.DateField(null=True)
    since_snapshot = models.BigIntegerField()
    until_snapshot = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["source", "billing_account", "billing_period", "currency"]
        indexes = [models.Index(fields=["source", "billing_account", "billing_period"])]

    def __str__(self) -> str:
        return f"{self.source} {self.billing_account} {self.billing_period} {self.currency}"


class Problem(models.Model):
    """A row that could not be used, or was used with something left out."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="problems")
    file = models.CharField(max_length=400)
    line = models.BigIntegerField(null=True)
    reason = models.TextField()
    loaded = models.BooleanField(default=False)

    class Meta:
        ordering = ["file", "line", "id"]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"
