"""Columns of Django's database that keep what is put in, on every database."""

from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    DecimalText = models.Field[Decimal, Decimal]
else:
    DecimalText = models.Field


class ExactField(DecimalText):
    """A decimal kept as text, to the last digit: SQLite would make a double of a DecimalField.

    A database sorts and compares it as text, so Python does that.
    """

    def get_internal_type(self) -> str:
        return "TextField"

    def from_db_value(self, value: str, *_: object) -> Decimal:
        return Decimal(value)

    def to_python(self, value: Decimal | str) -> Decimal:
        return Decimal(value)

    def get_prep_value(self, value: Decimal | str) -> str:
        return f"{Decimal(value):f}"
