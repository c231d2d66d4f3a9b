"""Which files of the warehouse are in force, and since when."""

from django.db import models


class Snapshot(models.Model):
    """One state of the warehouse. Numbers are in the order of commits, without gaps."""

    id = models.BigIntegerField(primary_key=True)
    created = models.DateTimeField(auto_now_add=True)
    note = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.pk} {self.note}"


class ManifestFile(models.Model):
    """A Parquet file, in force at S where since <= S and (until is null or until > S)."""

    dataset = models.CharField(max_length=40)
    partition = models.CharField(max_length=400)
    path = models.CharField(max_length=400, unique=True)  # below the warehouse folder
    rows = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    first_day = models.DateField(null=True)  # UTC days the rows touch, both included
    last_day = models.DateField(null=True)
    since_snapshot = models.BigIntegerField()
    until_snapshot = models.BigIntegerField(null=True)
    collected = models.BooleanField(default=False)  # garbage: the row stays, the file is gone

    class Meta:
        indexes = [
            models.Index(fields=["dataset", "partition", "until_snapshot"]),
            models.Index(fields=["dataset", "until_snapshot", "first_day"]),
            models.Index(fields=["since_snapshot"]),
            models.Index(fields=["until_snapshot"]),
        ]

    def __str__(self) -> str:
        return f"{self.dataset}/{self.partition} {self.path}"


class TeamMember(models.Model):
    """A user who sees a team's costs; the team is named as the owners table names it."""

    user = models.ForeignKey("auth.User", on_delete=models.CASCADE, related_name="teams")
    team = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "team"], name="one_membership_a_team")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"
