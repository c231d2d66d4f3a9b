"""What goes wrong in words a user can act on."""


class FinopsError(Exception):
    """Something a user can put right; its text says what and where.

    Commands print it to stderr and exit 1; pages show it.
    """


class UsageError(FinopsError):
    """The call itself is wrong (a bad date, an unknown key): commands exit 2."""


class NotThere(FinopsError):
    """What was asked for does not exist: pages answer 404."""
