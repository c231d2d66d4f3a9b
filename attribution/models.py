"""What was attributed, when, and from what."""

from django.db import models

from finops.core.fields import ExactField


class Run(models.Model):
    """One attribution of one UTC day. The newest run of a day is in force."""

    day = models.DateField(db_index=True)
    computed_from = models.BigIntegerField()  # the snapshot it read
    snapshot = models.BigIntegerField()  # from which on it is the one in force
    # The first and last day whose requests and metrics may have a part in it.
    looked_from = models.DateField()
    looked_until = models.DateField()
    fingerprint = models.CharField(max_length=64)  # of the day's inputs and the rules' version
    inputs = models.JSONField(default=dict)  # a digest of each: says which of them changed
    policy_version = models.BigIntegerField()
    complete = models.BooleanField()
    incomplete_reason = models.CharField(max_length=400, blank=True)
    charged = ExactField()  # in scope, reporting currency
    allocated = ExactField()  # equals `charged`, or there is no run
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


class PolicyChange(models.Model):
    """One application of a policy: who, when, why, and from which day it holds."""

    version = models.BigIntegerField(unique=True)
    text = models.TextField()
    holds_from = models.DateField(null=True)  # None: on all days
    applied_by = models.CharField(max_length=200, blank=True)  # empty: from the command line
    applied_at = models.DateTimeField(auto_now_add=True)
    reason = models.CharField(max_length=400, blank=True)
    snapshot = models.BigIntegerField()

    class Meta:
        ordering = ["-version"]

    def __str__(self) -> str:
        return f"policy version {self.version}"


class PolicyPreview(models.Model):
    """A month tried under another policy: asked for once a text, month and state of the warehouse, kept to be read again."""

    WAITING, DONE, FAILED = "waiting", "done", "failed"

    fingerprint = models.CharField(max_length=64, unique=True)  # of text, month and snapshot
    text = models.TextField()
    month = models.DateField()  # its first day
    snapshot = models.BigIntegerField()
    state = models.CharField(max_length=8, default=WAITING)
    stage = models.CharField(max_length=40, blank=True)
    days_done = models.PositiveIntegerField(default=0)
    days_total = models.PositiveIntegerField(default=0)
    touched_at = models.DateTimeField(auto_now=True)  # while it runs: a sign of life
    asked_by = models.CharField(max_length=200)
    asked_at = models.DateTimeField(auto_now_add=True)
    seconds = models.FloatField(null=True)
    result = models.JSONField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-asked_at", "-id"]

    def __str__(self) -> str:
        return f"preview of {self.month:%Y-%m} at snapshot {self.snapshot}"
