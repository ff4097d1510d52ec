"""Whether a file can be written to as OTLP JSON lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from keras_otel.diagnostics.findings import Findings

_MAX_COUNTED_BYTES: Final = 256 * 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024


def check_file(findings: Findings, address: str) -> None:
    """Check that the file, or the folder it will be created in, is writable; write nothing."""
    path = Path(address)
    folder = path.parent
    if path.is_dir():
        _add_endpoint_problem(
            findings, f"{path} is a folder", "Name a file in it, such as file:traces.jsonl"
        )
    elif path.exists() and not path.is_file():
        findings.add_fact("answer", "Endpoint", "a device or pipe, not checked")
    elif path.exists():
        _check_existing_file(findings, path)
    elif not folder.is_dir():
        _add_endpoint_problem(findings, f"the folder {folder} does not exist", f"mkdir -p {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        _add_endpoint_problem(
            findings, f"the folder {folder} is not writable", "Name a file in another folder"
        )
    else:
        findings.add_fact("answer", "Endpoint", "no file yet, its folder is writable")


def _add_endpoint_problem(findings: Findings, message: str, fix: str) -> None:
    findings.add_fact("answer", "Endpoint", message)
    findings.add_problem(message, fix)


def _check_existing_file(findings: Findings, path: Path) -> None:
    if not os.access(path, os.W_OK):
        _add_endpoint_problem(
            findings, f"{path} is not writable", "Correct its permissions or name another file"
        )
        return
    size = path.stat().st_size
    lines = f"{_count_lines(path):,} lines" if size <= _MAX_COUNTED_BYTES else "lines not counted"
    findings.add_fact("answer", "Endpoint", f"writable, {lines}, {size:,} bytes")
    if size and not _ends_with_newline(path):
        findings.add_problem(
            f"the last line of {path} is incomplete, and the next record would be appended to it",
            f"End the line while no program writes to the file: echo >> {path}",
        )


def _count_lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""))


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"
