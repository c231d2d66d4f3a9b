"""What pages were told before, kept in memory by the content of the files that it was read from.

Nothing is told stale: other files are another key. What a reader may see is part of the parameters,
so that no two scopes share a result.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from django.conf import settings

Result = TypeVar("Result")


class Results:
    """The results asked for last, up to a size in all; safe to share between threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()  # with its bytes
        self._bytes = 0
        self._busy: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """The result of this key; computed once, also where several threads ask for it at a time."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]  # type: ignore[return-value]
            mine = self._busy.setdefault(key, threading.Lock())
        with mine:
            with self._lock:
                if key in self._kept:
                    return self._kept[key][0]  # type: ignore[return-value]
            try:
                result = compute()
                self._keep(key, result)
                return result
            finally:
                with self._lock:
                    self._busy.pop(key, None)

    def _keep(self, key: Hashable, result: object) -> None:
        size = _size((key, result))
        with self._lock:
            _, replaced = self._kept.pop(key, (None, 0))
            self._kept[key] = (result, size)
            self._bytes += size - replaced
            while self._bytes > settings.FINOPS_CACHE_MB * 1024**2:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped


_MEASURED = 16  # of many things that stand in a row, and are much alike


def _size(kept: object) -> int:
    """About how many bytes it takes with all that it holds, in little time: of many rows some are measured."""
    held: Sequence[object] = ()
    if isinstance(kept, Mapping):
        held = list(kept.items())
    elif isinstance(kept, (list, tuple, set, frozenset)):
        held = list(kept)
    elif hasattr(kept, "__dict__"):
        held = list(vars(kept).values())
    some = held[:: max(1, len(held) // _MEASURED)]
    return sys.getsizeof(kept) + (sum(map(_size, some)) * len(held) // len(some) if some else 0)


_results = Results()


def cached(what: str, content: Hashable, parameters: Hashable, compute: Callable[[], Result]) -> Result:
    """What `compute` tells of files with this content; parameters are all else that it depends on.

    Nobody may change it: others are told the same object.
    """
    return _results.get((what, content, parameters), compute)
