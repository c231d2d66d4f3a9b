"""Static files that come out of installed packages, one by one."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, Storage


class PlotlyFinder(BaseFinder):
    """plotly.min.js out of the wheel, and nothing else of it: the whole package takes half a minute to collect."""

    name = "plotly.min.js"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        found = find_spec("plotly")  # without importing it
        if found is None or found.origin is None:
            raise ImproperlyConfigured("plotly is not installed: make install")
        self.folder = Path(found.origin).parent / "package_data"
        super().__init__()

    def check(self, **kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        if path != self.name:
            return []
        file = str(self.folder / self.name)
        return [file] if find_all else file

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Storage]]:
        yield self.name, FileSystemStorage(location=self.folder)
