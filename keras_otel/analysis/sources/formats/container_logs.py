"""Extract the lines that a program printed from the log of a container's runtime.

The container runtime interface's `TIME STREAM TAG CONTENT` and Docker's `{"log", "stream", "time"}`: both cut long
lines into pieces, and the pieces of standard output and standard error may be mixed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_CRI = re.compile(rb"\d{4}-\d\d-\d\dT\S+ (stdout|stderr) (?:([FP])(?::\S*)? )?(.*)", re.DOTALL)
_DOCKER = re.compile(rb'\{\s*"log"\s*:\s*"')
_FIRST_LINES: Final = 10
_LONGEST: Final = 64 * 1024


def is_container_log(path: Path) -> bool:
    """Return True if one of the first lines is of a container's log."""
    with path.open("rb") as stream:
        first_lines = (stream.readline(_LONGEST) for _ in range(_FIRST_LINES))
        return any(_CRI.match(line) or _DOCKER.match(line) for line in first_lines)


def write_lines(path: Path, target: Path) -> Sequence[str]:
    """Write the lines that the program printed, and return what is lost of them: nothing."""
    pieces: dict[bytes | None, list[bytes]] = {}
    with path.open("rb") as log, target.open("wb") as lines:
        for line in log:
            stream, content, is_whole = _parts(line)
            waiting = pieces.setdefault(stream, [])
            waiting.append(content)
            if is_whole:
                lines.write(b"".join(waiting) + b"\n")
                waiting.clear()
        lines.writelines(b"".join(waiting) + b"\n" for waiting in pieces.values())
    return ()


def _parts(line: bytes) -> tuple[bytes | None, bytes, bool]:
    """Return the stream that a line was printed to, its content, and whether the printed line ends with it.

    A line that is not in the runtime's format counts as a printed line, of no stream.
    """
    if match := _CRI.match(line):
        return match[1], match[3].rstrip(b"\r\n"), match[2] != b"P"
    if _DOCKER.match(line):
        try:
            entry = json.loads(line)
            text, stream = entry["log"], str(entry.get("stream", ""))
            content = text.encode("utf-8", "surrogatepass")
        except (ValueError, AttributeError, RecursionError):
            return None, line.rstrip(b"\r\n"), True
        return stream.encode("utf-8", "replace"), content.rstrip(b"\r\n"), content.endswith(b"\n")
    return None, line.rstrip(b"\r\n"), True
