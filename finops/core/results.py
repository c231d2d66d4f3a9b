"""What pages were told before, kept in memory by the content of the files that it was read from.

Nothing is told stale: other files are another key. What a reader may see is part of the parameters,
so that no two scopes share a result.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sized
from typing import TypeVar

from django.conf import settings

Result = TypeVar("Result", bound=Sized)


class Results:
    """The results asked for last, up to a size in all; safe to share between threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Sized] = OrderedDict()
        self._bytes = 0
        self._busy: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """The result of this key; computed once, also where several threads ask for it at a time."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]  # type: ignore[return-value]
            mine = self._busy.setdefault(key, threading.Lock())
        with mine:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]  # type: ignore[return-value]
            try:
                result = compute()
                self._keep(key, result)
                return result
            finally:
                with self._lock:
                    self._busy.pop(key, None)

    def _keep(self, key: Hashable, result: Sized) -> None:
        with self._lock:
            self._kept[key] = result
            self._bytes += _size(result)
            while self._bytes > settings.FINOPS_CACHE_MB * 1024**2:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= _size(dropped)


def _size(result: Sized) -> int:
    """About how many bytes it takes: a row of figures is a KiB of Python objects."""
    return 1024 + (len(result) if isinstance(result, str) else 1024 * len(result))


_results = Results()


def cached(what: str, content: Hashable, parameters: Hashable, compute: Callable[[], Result]) -> Result:
    """What `compute` tells of files with this content; parameters are all else that it depends on.

    Nobody may change it: others are told the same object.
    """
    return _results.get((what, content, parameters), compute)
