"""Is a day's bill there, and are its logs and metrics?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from urllib.parse import unquote

from finops.core.models import ManifestFile
from finops.core.warehouse import NewFile

_LABEL = {"charges": "bill", "gpu_samples": "GPU metrics", "requests": "requests"}
_PATIENCE = timedelta(days=7)  # a source that has been silent for longer is no longer waited for


class Expectation:
    """What each source has delivered, and so what is still to come."""

    def __init__(self, files: Mapping[str, Sequence[ManifestFile | NewFile]]) -> None:
        self._last: dict[tuple[str, str], date] = {}
        self._first: dict[tuple[str, str], date] = {}
        newest: dict[tuple[str, str], date] = defaultdict(lambda: date.min)
        oldest: dict[tuple[str, str], date] = defaultdict(lambda: date.max)
        for dataset in _LABEL:
            for file in files.get(dataset, ()):
                if file.last_day is None or file.first_day is None or not file.rows:
                    continue
                # A bill's source is (source, billing account); the last value of the partition is the period.
                source = (dataset, file.partition.rsplit("/", 1)[0])
                newest[source] = max(newest[source], file.last_day)
                oldest[source] = min(oldest[source], file.first_day)
        self._last, self._first = dict(newest), dict(oldest)

    def missing(self, day: date) -> str:
        """What is still to come for the day, in words; empty where it is complete."""
        if not any(dataset == "charges" for dataset, _ in self._last):
            return "no bill yet"
        return "; ".join(
            f"{_LABEL[dataset]} of {_name(source)} ends on {last}"
            for (dataset, source), last in sorted(self._last.items())
            if last < day <= last + _PATIENCE
        )


def _name(partition: str) -> str:
    """A source as people write it, with its billing account where that is not in it already."""
    source, *account = (unquote(part) for part in partition.split("/"))
    return " ".join([source, *(one for one in account if one not in source)])
