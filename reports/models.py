"""Months as finance closed them: written once, read for ever."""

from typing import Any, NoReturn

from django.db import models

from finops.core.errors import FinopsError
from finops.core.fields import ExactField


class ClosedMonth(models.Model):
    """One version of a billing period's statements, frozen when finance closed it.

    A period is closed where its newest version has not been reopened, else open. The snapshot is
    pinned: what it reads must not be collected as garbage while this row exists.
    """

    period = models.CharField(max_length=7)  # YYYY-MM
    version = models.PositiveIntegerField()
    snapshot = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    bill = ExactField()  # the costs attributed to the period, all statements, twelve places
    ledger = models.TextField()  # the CSV as it went to the ledger, whatever later programs would write
    closed_at = models.DateTimeField()
    closed_by = models.CharField(max_length=200)
    reopened_at = models.DateTimeField(null=True)
    reopened_by = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)  # why it was reopened

    class Meta:
        ordering = ["period", "version"]
        constraints = [
            models.UniqueConstraint(fields=["period", "version"], name="one_month_a_version"),
            models.UniqueConstraint(
                fields=["period"], condition=models.Q(reopened_at=None), name="closed_once_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period} version {self.version}"

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise FinopsError(f"{self} was closed and stays: reopen the month instead")


class StatementLine(models.Model):
    """A line of a closed month, with both what the ledger books and the exact cost behind it."""

    month = models.ForeignKey(ClosedMonth, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    statement = models.TextField()  # its slug: no-owner, platform, team/NAME
    period = models.CharField(max_length=7)  # of the charges: a correction's is the month it corrects
    cost_type = models.CharField(max_length=12)
    model = models.TextField(blank=True)
    feature = models.TextField(blank=True)
    pool = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    cost_center = models.TextField(blank=True)
    charge_class = models.CharField(max_length=10, blank=True)  # '' or Correction
    charge_period_start = models.DateField()  # UTC days, the end excluded
    charge_period_end = models.DateField()
    exact = ExactField()  # twelve places
    amount = ExactField()  # in minor units of the month's currency

    class Meta:
        ordering = ["month", "position"]
        constraints = [models.UniqueConstraint(fields=["month", "position"], name="one_line_a_position")]
        indexes = [models.Index(fields=["period", "charge_class"])]

    def __str__(self) -> str:
        return f"{self.month} {self.statement} {self.cost_type} {self.model} {self.feature}: {self.amount}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise FinopsError(f"{self.month} was closed: its lines cannot be changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise FinopsError(f"{self.month} was closed: its lines cannot be deleted")


class OwnerMail(models.Model):
    """One weekly mail to one owner. The row is claimed before the mail leaves, so none leaves twice."""

    owner_email = models.CharField(max_length=254)
    week = models.DateField()  # its Monday
    claimed_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)  # NULL: being sent, or nobody knows whether it arrived

    class Meta:
        ordering = ["-week", "owner_email"]
        constraints = [models.UniqueConstraint(fields=["owner_email", "week"], name="one_mail_a_week")]

    def __str__(self) -> str:
        return f"{self.owner_email}, week of {self.week}"


class MailPreference(models.Model):
    """Who asked for no more weekly mails."""

    owner_email = models.CharField(max_length=254, unique=True)
    unsubscribed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.owner_email}, no mails since {self.unsubscribed_at:%Y-%m-%d}"
