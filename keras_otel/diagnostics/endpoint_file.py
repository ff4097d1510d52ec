"""Whether a file can take OTLP JSON lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from keras_otel.diagnostics.findings import Findings

_READ_LIMIT: Final = 256 * 1024 * 1024
_CHUNK: Final = 1024 * 1024


def ask_file(findings: Findings, address: str) -> None:
    """Whether the file or its folder is writable, and whether its last line is whole."""
    path = Path(address)
    folder = path.parent
    if path.is_dir():
        _say(findings, f"{path} is a folder", "Name a file in it, such as file:traces.jsonl")
    elif path.exists() and not path.is_file():
        findings.fact("answer", "Endpoint", "a device or pipe, taken as it is")
    elif path.exists():
        _existing(findings, path)
    elif not folder.is_dir():
        _say(findings, f"the folder {folder} does not exist", f"mkdir -p {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        _say(findings, f"the folder {folder} is not writable", "Name a file in another folder")
    else:
        findings.fact("answer", "Endpoint", "no file yet, its folder is writable")


def _say(findings: Findings, what: str, mend: str) -> None:
    findings.fact("answer", "Endpoint", what)
    findings.wrong(what, mend)


def _existing(findings: Findings, path: Path) -> None:
    if not os.access(path, os.W_OK):
        _say(findings, f"{path} is not writable", "Correct its permissions or name another file")
        return
    size = path.stat().st_size
    lines = f"{_lines(path):,} lines" if size <= _READ_LIMIT else "not counted"
    findings.fact("answer", "Endpoint", f"writable, {lines}, {size:,} bytes")
    if size and not _is_last_line_whole(path):
        findings.wrong(
            f"the last line of {path} is cut, and the next one written would be glued to it",
            f"Close it where no program writes it now: echo >> {path}",
        )


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(_CHUNK), b""))


def _is_last_line_whole(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"
