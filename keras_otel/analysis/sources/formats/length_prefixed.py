"""Read messages that are each preceded by their length in four bytes, big-endian.

The Collector's `file` exporter writes protobuf so, and JSON where each message is compressed by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa

_PREFIX: Final = 4
_LONGEST: Final = 2**24
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_JSON: Final = b"{"
_PROTOBUF: Final = b"\n"
"""The tag of the first field of every request: a message, after its length."""
_STARTS: Final = (_ZSTD, _JSON, _PROTOBUF)
DAMAGE: Final = "a message is cut off or cannot be unpacked; the others were read"


def is_framed(path: Path) -> bool:
    """Return True if a file begins with the length of a message, and the next message, if any, does too."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        first = _length(stream)
        if not first or not stream.read(len(_ZSTD)).startswith(_STARTS):
            return False
        if stream.seek(_PREFIX + first) >= size:
            # One message, or the rest of a cut one: there a large length is rather the first letters of a text.
            return stream.tell() == size or first < _LONGEST
        second = _length(stream)
        return second is None or second == 0 or stream.read(len(_ZSTD)).startswith(_STARTS)


def holds_json(path: Path) -> bool:
    """Return True if the first message of a file is JSON."""
    return next((message.startswith(_JSON) for message in messages(path) if message), False)


def messages(path: Path) -> Iterator[bytes | None]:
    """Yield each message, decompressed; None for one that is cut off or damaged."""
    with path.open("rb") as stream:
        while (length := _length(stream)) is not None:
            message = stream.read(length)
            if len(message) < length:
                yield None
                return
            yield _decompressed(message) if message.startswith(_ZSTD) else message


def write_lines(path: Path, target: Path) -> Iterator[str]:
    """Write messages of JSON as lines, and yield a clause for each loss."""
    with target.open("wb") as lines:
        for message in messages(path):
            if message is None:
                yield DAMAGE
            else:
                # JSON has no line ends but between its tokens.
                lines.write(message.replace(b"\n", b" ") + b"\n")


def _length(stream: BinaryIO) -> int | None:
    prefix = stream.read(_PREFIX)
    return int.from_bytes(prefix, "big") if len(prefix) == _PREFIX else None


def _decompressed(message: bytes) -> bytes | None:
    try:
        with pa.CompressedInputStream(pa.BufferReader(message), "zstd") as stream:
            return bytes(stream.read())
    except OSError:
        return None
