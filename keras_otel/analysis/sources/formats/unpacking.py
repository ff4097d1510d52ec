"""Unpack files: compression, encodings other than UTF-8, length prefixes and container logs, a layer at a time."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from keras_otel.analysis.sources.formats import container_logs, length_prefixed

Unwrap = Callable[[Path, Path], Iterable[str]]
"""Writes the content of a file to another one, and returns a clause for each loss."""

_COMPRESSIONS: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\x04\x22\x4d\x18": "lz4",
}
# The longer ones first: UTF-32's begins with UTF-16's.
_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SNIFFED: Final = 64
_CHUNK: Final = 4 * 1024 * 1024
_SMALL_CHUNK: Final = 256


def layer_of(path: Path) -> Unwrap | None:
    """Return the function that removes a file's outermost layer; None where it has none."""
    with path.open("rb") as stream:
        head = stream.read(_SNIFFED)
    for magic, name in _COMPRESSIONS.items():
        if head.startswith(magic):
            return partial(_decompress, name)
    encoding = _encoding(head)
    if encoding is not None:
        return partial(recode, encoding)
    if length_prefixed.is_framed(path):
        return length_prefixed.write_lines if length_prefixed.holds_json(path) else None
    return container_logs.write_lines if container_logs.is_container_log(path) else None


def _encoding(head: bytes) -> str | None:
    """Return an encoding of several bytes a letter, by its byte order mark or because every other byte is zero."""
    for mark, name in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return name
    even, odd = head[::2], head[1::2]
    if len(odd) > 1 and all(even) and not any(odd):
        return "utf-16-le"
    return "utf-16-be" if len(odd) > 1 and all(odd) and not any(even) else None


def recode(encoding: str, path: Path, target: Path) -> Iterator[str]:
    """Write a text as UTF-8, and yield a clause if something could not be decoded."""
    is_valid = True
    with (
        path.open(encoding=encoding, errors="replace", newline="") as text,
        target.open("w", encoding="utf-8", errors="replace", newline="") as decoded,
    ):
        while chunk := text.read(_CHUNK):
            is_valid = is_valid and "\ufffd" not in chunk
            decoded.write(chunk)
    if not is_valid:
        yield f"the {encoding.upper()} file is damaged; what cannot be decoded was replaced"


def _decompress(compression: str, path: Path, target: Path) -> Iterator[str]:
    with target.open("wb") as unpacked:
        for size in (_CHUNK, _SMALL_CHUNK):
            # A failing read returns nothing: small chunks recover what stands in the large one before the damage.
            done = unpacked.tell()
            try:
                for chunk in _chunks(path, compression, done, size):
                    unpacked.write(chunk)
            except OSError:
                continue
            if size == _CHUNK:
                return
    yield f"the {compression} file is cut off or damaged; what is whole was read"


def _chunks(path: Path, compression: str, done: int, size: int) -> Iterator[bytes]:
    with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, compression) as stream:
        while done and (skipped := stream.read(min(done, _CHUNK))):
            done -= len(skipped)
        while chunk := stream.read(size):
            yield chunk
