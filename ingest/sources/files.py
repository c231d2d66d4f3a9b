"""Files on this machine: what was handed over, under which name, and what it really is."""

import hashlib
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from zlib_ng import zlib_ng

from finops.core.errors import FinopsError, UsageError

CHUNK = 1 << 20
PACKED_CHUNK = 1 << 16  # of which a thousand times as much may come
UNFINISHED = (".part", ".tmp", ".crdownload", ".partial")


class Unreadable(FinopsError):
    """A file is not what it says: nothing of its delivery is loaded."""


@dataclass(frozen=True)
class Block:
    """Some of a file's bytes without compression, and how many bytes of the file they were."""

    plain: bytes
    packed: int


@dataclass(frozen=True)
class InputFile:
    """One file of a delivery, as it was delivered."""

    name: str
    path: Path
    sha256: str
    size: int
    modified_ns: int

    def blocks(self) -> Iterator[Block]:
        """The file without gzip or zstandard, which its first bytes tell, not its name.

        Raises Unreadable where it is damaged or cut short.
        """
        with self.path.open("rb") as stream:
            packing = _packing(stream.peek(4)[:4])
            if packing is None:
                while block := stream.read(CHUNK):
                    yield Block(block, len(block))
            else:
                yield from _unpacked_blocks(self.name, packing, stream)

    def start(self, length: int = 4096) -> bytes:
        """Its first bytes, without compression."""
        found = b""
        for block in self.blocks():
            found += block.plain
            if len(found) >= length:
                break
        return found[:length]

    @property
    def is_parquet(self) -> bool:
        return self.start(4) == b"PAR1"

    @property
    def is_packed(self) -> bool:
        with self.path.open("rb") as stream:
            return _packing(stream.read(4)) is not None


def listed(paths: Sequence[str | Path], spool: Path) -> list[Path]:
    """The files behind what was named: files, folders (all files below) and `-`, standard input."""
    found: list[Path] = []
    for path in paths:
        if str(path) == "-":
            found.append(_standard_input(spool))
            continue
        path = Path(path)
        if path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.is_file() and not unfinished(file))
            if not below:
                raise Unreadable(f"{path}: there is no file in this folder")
            found.extend(below)
        elif path.exists():
            found.append(path)
        else:
            raise Unreadable(f"{path}: there is no such file")
    return list(dict.fromkeys(file.absolute() for file in found))


def unfinished(path: Path) -> bool:
    """Whether a name says that the file is hidden, or still being written."""
    return path.name.startswith((".", "_")) or path.name.endswith(UNFINISHED)


def _standard_input(spool: Path) -> Path:
    if sys.stdin.isatty():
        raise UsageError("-: expected a file on standard input")
    spool.mkdir(parents=True, exist_ok=True)
    target = spool / "standard-input"
    with target.open("wb") as stream:
        shutil.copyfileobj(sys.stdin.buffer, stream, CHUNK)
    return target


def identified(paths: Sequence[Path]) -> list[InputFile]:
    """Each file with its checksum, named by its path below the folder that all have in common."""
    names = [str(name) for name in _names(paths)]
    files = []
    for path, name in zip(paths, names, strict=True):
        status = path.stat()
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        files.append(InputFile(name, path, digest, status.st_size, status.st_mtime_ns))
    return files


def _names(paths: Sequence[Path]) -> Iterable[Path]:
    if len({path.name for path in paths}) == len(paths):
        return [Path(path.name) for path in paths]
    common = Path(*_common_parts([path.parent.parts for path in paths]))
    return [path.relative_to(common) for path in paths]


def _common_parts(parts: Sequence[tuple[str, ...]]) -> list[str]:
    common = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return common


def unpacked(file: InputFile, spool: Path) -> Path:
    """Where the file lies without compression: itself, or a copy in the spool."""
    if not file.is_packed:
        return file.path
    target = spool / f"{file.sha256}.plain"
    if not target.exists():
        part = target.with_suffix(".part")
        with part.open("wb") as out:
            for block in file.blocks():
                out.write(block.plain)
        part.rename(target)
    return target


def _packing(head: bytes) -> str | None:
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    return "zstandard" if head == b"\x28\xb5\x2f\xfd" else None


def _unpacked_blocks(name: str, packing: str, stream: BinaryIO) -> Iterator[Block]:
    """Member after member of a gzip file, frame after frame of a zstandard one; each must come to its end."""
    decoder = _decoder(packing)
    packed = 0
    try:
        while rest := stream.read(PACKED_CHUNK):
            packed += len(rest)
            while rest:
                if decoder.eof:
                    if not rest.strip(b"\0"):  # padding, as tapes leave it
                        break
                    decoder = _decoder(packing)
                plain = decoder.decompress(rest)
                rest = decoder.unused_data
                if plain:
                    yield Block(plain, packed)
                    packed = 0
    except (zlib_ng.error, zstandard.ZstdError) as error:  # type: ignore[misc]  # its stub calls it no class
        raise Unreadable(
            f"{name}: the {packing} file is damaged ({error}); expected a complete file"
        ) from error
    if not decoder.eof:
        raise Unreadable(f"{name}: the {packing} file is cut short; expected a complete file")


def _decoder(packing: str) -> Any:
    if packing == "gzip":
        return zlib_ng.decompressobj(zlib_ng.MAX_WBITS | 16)
    return zstandard.ZstdDecompressor().decompressobj()


def require_data(file: InputFile) -> None:
    """Raises Unreadable where a file is plainly no data at all (HTML, zip, UTF-16)."""
    head = file.start(512)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Unreadable(f"{file.name}: this is UTF-16 text; expected UTF-8")
    if text[:1] == b"<":
        raise Unreadable(f"{file.name}, line 1: this is an HTML or XML page (an error page?); expected data")
    if head[:2] == b"PK":
        raise Unreadable(
            f"{file.name}: this is a zip archive; expected the files in it, or gzip or zstandard"
        )
    if head[:4] == b"%PDF":
        raise Unreadable(f"{file.name}: this is a PDF; expected data")
    if head[:4] != b"PAR1" and b"\x00" in head:
        raise Unreadable(f"{file.name}: this is no text; expected CSV, JSON or Parquet")
