"""List the files of a folder, and recognise the type of each by its first bytes."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import Final, Literal

from keras_otel.analysis.sources.formats.length_prefixed import is_framed
from keras_otel.errors import SourceError

Kind = Literal["json", "csv", "parquet", "protobuf", "empty", "unknown"]

_PATTERN = re.compile(r"[*?\[]")
_PARQUET: Final = b"PAR1"
_SNIFFED: Final = 64 * 1024
_LONGEST_LINE: Final = 4 * 1024 * 1024
_PADDING: Final = b"\xef\xbb\xbf\0 \t\r\n"
_OPENING: Final = (b"{", b"[")
_REQUEST = re.compile(rb'\{\s*"resource(Spans|Logs|_spans|_logs)"')


def files_of(path: Path) -> list[Path]:
    """Return the file itself, or all files below a folder except hidden ones, by name.

    Raises:
        SourceError: There is no such file or folder, nothing in it, or it cannot be opened.
    """
    try:
        if path.is_file():
            return [path]
        if not path.is_dir():
            reason = "is no file and no folder: write what it gives to a file"
            raise SourceError(
                f"{path} {reason if path.exists() else 'does not exist: check the path'}"
            )
        next(path.iterdir(), None)  # rglob goes round what it may not open
        files = sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not any(p.startswith(".") for p in file.relative_to(path).parts)
        )
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}): check it") from error
    if not files:
        raise SourceError(f"{path} is a folder without files: name one with traces in it")
    return files


def literal(path: Path) -> str:
    """Escape a path for DuckDB, which otherwise takes `*`, `?` and `[` for patterns.

    Raises:
        SourceError: It has a backslash beside one of them, which cannot be written.
    """
    text = str(path)
    if not _PATTERN.search(text):
        return text
    if "\\" in text and os.sep != "\\":
        raise SourceError(f"{path} has a backslash and one of * ? [ in its name: rename it")
    return _PATTERN.sub(r"[\g<0>]", text)


def kind_of(path: Path) -> Kind:
    """Return the type of a file, by its first bytes.

    Raises:
        SourceError: The file cannot be opened.
    """
    start = _head(path, _SNIFFED)
    if start.startswith(_PARQUET):
        return "parquet"
    if is_framed(path) or _is_request(start, path.stat().st_size):
        return "protobuf"
    head = _beginning(path)
    lines = [line for raw in head.splitlines() if (line := raw.strip(_PADDING))]
    if not lines:
        return "empty"
    count = sum(line.startswith(_OPENING) for line in lines)
    # The first line, or another one, may be damaged.
    if lines[0].startswith(_OPENING) or 2 * count >= len(lines) or _REQUEST.search(head):
        return "json"
    if b"\0" in lines[0]:
        return "unknown"
    if any(mark in lines[0] for mark in (b",", b";", b"\t")):
        return "csv"
    return "json" if count else "unknown"


def _is_request(head: bytes, size: int) -> bool:
    """Return True if a file begins as a protobuf request does: with a message that holds another one."""
    if not head.startswith(b"\n"):
        return False
    length = shift = 0
    for position, byte in enumerate(head[1:11], start=2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = position + length
            is_followed = end == size or head[end : end + 1] in (b"\n", b"")
            return head[position : position + 1] in (b"\n", b"\x12") and end <= size and is_followed
    return False


def _beginning(path: Path) -> bytes:
    """Return the first bytes that are no padding, to beyond the first line unless that is JSON."""
    head = b""
    with path.open("rb") as stream:
        while chunk := stream.read(_SNIFFED):
            head = head + chunk if head else chunk.lstrip(_PADDING)
            if head.startswith(_OPENING) or b"\n" in head or len(head) > _LONGEST_LINE:
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
