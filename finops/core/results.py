"""What pages were told before: results kept in memory by the content of the files that they were read from.

A result is never told stale: another content is another key. What a reader may see is part of the
parameters, so that no two scopes share one.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sized
from typing import TypeVar

from django.conf import settings

Result = TypeVar("Result", bound=Sized)


class Results:
    """The results asked for last, up to a number of rows in all; safe to share between threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Sized] = OrderedDict()
        self._rows = 0
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
            self._rows += 1 + len(result)
            while self._rows > settings.FINOPS_CACHE_ROWS:
                _, dropped = self._kept.popitem(last=False)
                self._rows -= 1 + len(dropped)


_results = Results()


def cached(name: str, files: tuple[str, ...], parameters: Hashable, compute: Callable[[], Result]) -> Result:
    """What `compute` tells of the files with these hashes. Nobody may change it: others are told the same object."""
    return _results.get((name, files, parameters), compute)
