"""What goes wrong in words a user can act on."""

from django.db import InterfaceError, OperationalError


class FinopsError(Exception):
    """Something a user can put right; its text says what and where.

    Commands print it to stderr and exit 1; pages show it.
    """


class UsageError(FinopsError):
    """The call itself is wrong (a bad date, an unknown key): commands exit 2."""


class NotThere(FinopsError):
    """What was asked for does not exist: pages answer 404."""


def in_words(error: Exception) -> str | None:
    """What a reader or operator is told of a failure of the machine; None where it is none."""
    import duckdb  # too slow for commands that do well

    from finops.core import warehouse  # which imports this module

    text = " ".join(str(error).split())
    if "No space left on device" in text:
        return "the disk is full; what was in force before still is, and the same command completes it"
    if isinstance(error, duckdb.Error) and str(warehouse.folder()) in text:
        return f"a file of the warehouse cannot be read: `manage.py doctor` names it. {text[:300]}"
    if isinstance(error, OperationalError | InterfaceError):
        return f"the database cannot be used: {text[:300]}. What was in force before still is"
    return None
