"""What was attributed, when, and from what."""

from django.db import models


class Run(models.Model):
    """One attribution of one UTC day. The newest run of a day is in force."""

    day = models.DateField(db_index=True)
    computed_from = models.BigIntegerField()  # the snapshot it read
    snapshot = models.BigIntegerField()  # the snapshot that put its allocations in force
    fingerprint = models.CharField(max_length=64)  # of the day's inputs and the rules' version
    inputs = models.JSONField(default=dict)  # a digest of each: says which of them changed
    policy_version = models.BigIntegerField()
    complete = models.BooleanField()
    incomplete_reason = models.CharField(max_length=400, blank=True)
    charged = models.DecimalField(max_digits=38, decimal_places=12)  # in scope, reporting currency
    allocated = models.DecimalField(max_digits=38, decimal_places=12)  # equals `charged`, or there is no run
    seconds = models.FloatField()
    finished = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["day", "id"]
        get_latest_by = "id"

    def __str__(self) -> str:
        return f"{self.day} at snapshot {self.snapshot}"


class RollUp(models.Model):
    """The state of a day's request roll-up: unchanged inputs are not rolled up again."""

    day = models.DateField(unique=True)
    fingerprint = models.CharField(max_length=64)

    def __str__(self) -> str:
        return str(self.day)
