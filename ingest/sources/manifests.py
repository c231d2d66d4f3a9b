"""Manifests of bills: which files make one delivery, and what they must be.

AWS Data Exports (`dataFiles`), AWS cost and usage reports (`reportKeys`), Azure exports (`blobs`) and
plain ones (`files`). Only the newest run of an export and period counts, or the period would count twice.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ingest.sources.files import InputFile, Unreadable

NAME = re.compile(r"manifest[^/]*\.json$", re.IGNORECASE)
LISTS = ("dataFiles", "reportKeys", "blobs", "files")
RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d[:_]\d\d[:_]\d\d(?:\.\d+)?")
PERIOD = re.compile(r"BILLING_PERIOD=(\d{4}-\d\d)|/(\d{8}-\d{8})/")
LEVELS_UP = 6  # how far above its manifest a file is looked for


@dataclass(frozen=True)
class Expected:
    """What a manifest says about one file; `path` is None where the file is not here."""

    name: str
    path: Path | None
    size: int | None = None
    rows: int | None = None
    checksum: str = ""


@dataclass(frozen=True)
class Manifest:
    path: Path
    files: tuple[Expected, ...]
    rows: int | None
    export: tuple[str, str]  # which export and period: of several runs the newest counts
    run: str

    def disagreements(self, files: Sequence[InputFile], rows: dict[str, int]) -> list[str]:
        """Where files, sizes, checksums or row counts are not what the manifest says."""
        found = {file.path: file for file in files}
        wrong = []
        for one in self.files:
            file = found.get(one.path) if one.path else None
            if file is None:
                wrong.append(f"{self.path.name} names {one.name}, which is not here")
                continue
            if one.size is not None and one.size != file.size:
                wrong.append(f"{file.name} has {file.size} bytes, not the {one.size} of {self.path.name}")
            if one.checksum and not _has_checksum(file, one.checksum):
                wrong.append(f"{file.name} has another checksum than {self.path.name} says")
            if one.rows is not None and one.rows != rows.get(file.name, 0):
                wrong.append(
                    f"{file.name} has {rows.get(file.name, 0)} rows, not the {one.rows} of {self.path.name}"
                )
        here = sum(rows.get(found[one.path].name, 0) for one in self.files if one.path in found)
        if self.rows is not None and self.rows != here:
            wrong.append(f"there are {here} rows, not the {self.rows} of {self.path.name}")
        return wrong


def read(paths: Sequence[Path]) -> tuple[list[Manifest], list[Path]]:
    """The newest manifests among these files, and the files that make the delivery.

    Without a manifest all files do; with one, only those it names.
    """
    manifests = [_read(path) for path in paths if NAME.search(path.name)]
    if not manifests:
        return [], list(paths)
    newest: dict[tuple[str, str], Manifest] = {}
    for manifest in manifests:
        before = newest.get(manifest.export)
        if before is None or (manifest.run, manifest.path) > (before.run, before.path):
            newest[manifest.export] = manifest
    files = [one.path for manifest in newest.values() for one in manifest.files if one.path]
    if not files:
        first = next(iter(newest.values()))
        raise Unreadable(
            f"{first.path.name}: none of the files it names is here, such as {first.files[0].name}"
        )
    return list(newest.values()), list(dict.fromkeys(files))


def _read(path: Path) -> Manifest:
    try:
        said = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path.name}: the manifest is no JSON: {error}") from error
    entries = next((said[key] for key in LISTS if isinstance(said, dict) and said.get(key)), None)
    if not isinstance(entries, list):
        raise Unreadable(f"{path.name}: the manifest names no files; expected one of {', '.join(LISTS)}")
    files = tuple(_expected(path, entry) for entry in entries)
    names = " ".join(one.name for one in files)
    run_info = said.get("runInfo") or {}
    period = PERIOD.search(f"{names} {path}")
    run = RUN.search(f"{run_info.get('submittedTime', '')} {names}")
    return Manifest(
        path,
        files,
        _number(said, "dataRowCount", "rowCount", "rows"),
        (
            str(said.get("exportArn") or said.get("reportName") or _export_name(said) or path.parent),
            str(run_info.get("startDate") or (period[0].strip("/") if period else "")),
        ),
        run[0].replace("_", ":") if run else "",
    )


def _export_name(said: dict[str, Any]) -> str:
    config = said.get("exportConfig") or {}
    return f"{config.get('resourceId', '')} {config.get('exportName', '')}".strip()


def _expected(manifest: Path, entry: Any) -> Expected:
    if isinstance(entry, str):
        return Expected(entry, _located(manifest, entry))
    if not isinstance(entry, dict):
        raise Unreadable(f"{manifest.name}: {entry!r} names no file")
    name = next(
        (str(entry[key]) for key in ("blobName", "name", "path", "file", "key") if entry.get(key)), ""
    )
    if not name:
        raise Unreadable(f"{manifest.name}: an entry names no file: {json.dumps(entry)[:200]}")
    checksum = next((str(entry[key]) for key in ("sha256", "md5", "checksum") if entry.get(key)), "")
    return Expected(
        name,
        _located(manifest, name),
        _number(entry, "byteCount", "bytes", "size"),
        _number(entry, "dataRowCount", "rowCount", "rows"),
        checksum.lower(),
    )


def _number(entry: dict[str, Any], *keys: str) -> int | None:
    return next((int(entry[key]) for key in keys if str(entry.get(key, "")).isdigit()), None)


def _located(manifest: Path, name: str) -> Path | None:
    """The file here that a manifest's address means: as much of its end as is found, near the manifest."""
    parts = [part for part in urlsplit(name).path.split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        for base in [manifest.parent, *list(manifest.parents)[1:LEVELS_UP]]:
            for spelled in (parts[start:], [part.replace(":", "_") for part in parts[start:]]):
                candidate = base.joinpath(*spelled)
                if candidate.is_file():
                    return candidate.absolute()
    return None


def _has_checksum(file: InputFile, checksum: str) -> bool:
    if len(checksum) == 64:
        return file.sha256 == checksum
    with file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest() == checksum
