"""Files and folders: which there are, what each of them is, and what is inside compressed ones."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from keras_otel.errors import SourceError

Kind = Literal["json", "csv", "parquet", "empty", "unknown"]

_COMPRESSIONS: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_PARQUET: Final = b"PAR1"
_SNIFFED: Final = 64 * 1024
_CHUNK: Final = 4 * 1024 * 1024
_CRUMB: Final = 256
_PADDING: Final = b"\xef\xbb\xbf\0 \t\r\n"
_OPENING: Final = (b"{", b"[")
_REQUEST = re.compile(rb'\{\s*"resource(Spans|Logs|_spans|_logs)"')


def files_of(path: Path) -> list[Path]:
    """The file itself, or all files below a folder but hidden ones, by name.

    Raises:
        SourceError: There is no such file or folder, or nothing in it.
    """
    if path.is_dir():
        found = sorted(
            each
            for each in path.rglob("*")
            if each.is_file() and not any(p.startswith(".") for p in each.relative_to(path).parts)
        )
        if not found:
            raise SourceError(f"{path} is a folder without files: name one with traces in it")
        return found
    if not path.exists():
        raise SourceError(f"{path} does not exist: check the path")
    return [path]


def compression_of(path: Path) -> str | None:
    """`gzip` or `zstd`, by the file's first bytes; None where it is not compressed."""
    head = _head(path, 4)
    return next((name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None)


def decompress(path: Path, compression: str, target: Path) -> bool:
    """Write what a compressed file holds; False where it is cut off or damaged on the way."""
    with target.open("wb") as plain:
        for size in (_CHUNK, _CRUMB):
            # A read that fails returns nothing, so the way to the damage is gone again in small steps.
            done = plain.tell()
            try:
                for chunk in _chunks(path, compression, done, size):
                    plain.write(chunk)
            except OSError:
                continue
            return size == _CHUNK
    return False


def _chunks(path: Path, compression: str, done: int, size: int) -> Iterator[bytes]:
    with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, compression) as stream:
        while done and (skipped := stream.read(min(done, _CHUNK))):
            done -= len(skipped)
        while chunk := stream.read(size):
            yield chunk


def kind_of(path: Path) -> Kind:
    """What a file is, by its first bytes.

    Raises:
        SourceError: The file cannot be opened.
    """
    if _head(path, len(_PARQUET)) == _PARQUET:
        return "parquet"
    head = _beginning(path)
    lines = [line for each in head.splitlines() if (line := each.strip(_PADDING))]
    if not lines:
        return "empty"
    count = sum(line.startswith(_OPENING) for line in lines)
    # The first line, or another, may be an odd one.
    if lines[0].startswith(_OPENING) or 2 * count >= len(lines) or _REQUEST.search(head):
        return "json"
    if b"\0" in lines[0]:
        return "unknown"
    if any(mark in lines[0] for mark in (b",", b";", b"\t")):
        return "csv"
    return "json" if count else "unknown"


def _beginning(path: Path) -> bytes:
    """The first bytes that are no padding, to beyond the first line unless that is JSON."""
    head = b""
    with path.open("rb") as stream:
        while chunk := stream.read(_SNIFFED):
            head = head + chunk if head else chunk.lstrip(_PADDING)
            if head.startswith(_OPENING) or b"\n" in head or len(head) > _CHUNK:
                break
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", "ignore").encode()
    return head


def _head(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}): check it") from error
