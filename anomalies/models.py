"""What was not normal, and what somebody made of it."""

from decimal import Decimal

from django.db import models

from finops.core.fields import ExactField


class Incident(models.Model):
    """One event: days on which a slice's cost left its expectation, with what else moved with it.

    The slice is the narrowest that explains most of the change: its empty columns are any value. One row
    however often detection runs; the state is a person's, except that what the
    figures no longer show is resolved, and open again where they show it again.
    """

    METRICS = {"cost": "cost", "unit_cost": "cost per prediction", "idle": "idle cost"}
    OPEN, ACKNOWLEDGED, RESOLVED = "open", "acknowledged", "resolved"
    STATES = {OPEN: "open", ACKNOWLEDGED: "acknowledged", RESOLVED: "resolved"}

    model = models.CharField(max_length=200, blank=True)
    tenant = models.CharField(max_length=200, blank=True)
    feature = models.CharField(max_length=200, blank=True)
    resource = models.CharField(max_length=400, blank=True)
    metric = models.CharField(max_length=10, choices=METRICS)
    onset = models.DateField()
    last_day = models.DateField()
    days = models.PositiveIntegerField()
    direction = models.CharField(max_length=4, choices={"up": "up", "down": "down"})
    ongoing = models.BooleanField()  # to the newest complete day
    settled = models.BooleanField()  # lasted so long that later days are compared with the new level
    launch = models.BooleanField()  # nothing was there before
    team = models.CharField(max_length=200, blank=True)  # whom it concerns: the model's owner
    actual = ExactField()  # per day, reporting currency
    expected = ExactField()  # per day
    impact = ExactField()  # actual - expected, all days together
    series = models.JSONField()  # [{day, actual, expected, lower, upper}] of the metric, texts of decimals
    moved = models.JSONField()  # [{model, tenant, feature, resource, metric, onset, impact}], largest first
    factors = models.JSONField()  # [{factor, amount}] of the change of a day; they sum to `change`
    slices = models.JSONField()  # [{key, value, team, amount}] of the same change, largest first
    change = ExactField()  # usage + idle a day, against before
    compared = models.JSONField()  # {now: [days], before: [days]}: what `factors` compares
    snapshot = models.BigIntegerField()
    state = models.CharField(max_length=12, choices=STATES, default=OPEN)
    note = models.CharField(max_length=400, blank=True)
    changed_by = models.CharField(max_length=200, blank=True)  # empty: by nobody, or by detection
    changed_at = models.DateTimeField(null=True, blank=True)
    found_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-onset", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "tenant", "feature", "resource", "metric", "onset"],
                name="one_incident_an_onset",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_metric_display()} of {self.slice_name} {self.direction} since {self.onset}"

    @property
    def slice(self) -> dict[str, str]:
        """The columns that are set."""
        named = {name: getattr(self, name) for name in ("model", "tenant", "feature", "resource")}
        return {name: value for name, value in named.items() if value}

    @property
    def slice_name(self) -> str:
        return ", ".join(f"{name} {value.rsplit('/', 1)[-1]}" for name, value in self.slice.items())

    @property
    def share(self) -> Decimal | None:
        """The change against the expectation; None where nothing was expected."""
        return (self.actual - self.expected) / self.expected if self.expected > 0 else None
