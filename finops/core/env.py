"""Typed readers of environment variables: a default, or a clear failure at start-up."""

import os
from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


def text(name: str, default: str) -> str:
    """The variable as it stands; an empty one counts as unset."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool) -> bool:
    raw = text(name, "").lower()
    if not raw:
        return default
    if raw in TRUE:
        return True
    if raw in FALSE:
        return False
    raise ImproperlyConfigured(f"{name}={raw!r}: expected one of true, false, 1, 0, yes, no, on, off")


def integer(name: str, default: int, least: int = 0) -> int:
    raw = text(name, "")
    if not raw:
        return default
    if not raw.lstrip("-").isdigit() or int(raw) < least:
        raise ImproperlyConfigured(f"{name}={raw!r}: expected a whole number of at least {least}")
    return int(raw)


def words(name: str, default: Sequence[str]) -> list[str]:
    """A comma-separated list."""
    raw = text(name, "")
    return [word.strip() for word in raw.split(",") if word.strip()] if raw else list(default)


def choice(name: str, default: str, among: Sequence[str]) -> str:
    raw = text(name, default)
    if raw not in among:
        raise ImproperlyConfigured(f"{name}={raw!r}: expected one of {', '.join(among)}")
    return raw


def preset(name: str, value: str) -> None:
    """What a library reads for itself, where nobody has set it."""
    os.environ.setdefault(name, value)
