"""What `keras-otel slice` says of a source."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def slice_of(*arguments: str) -> dict[str, Any]:
    """Its JSON, with sessions as clusters."""
    command = [sys.executable, "-m", "keras_otel.cli", "slice", *arguments]
    command += ["--cluster", "session.id", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def same(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what depends on its source."""
    return {key: document[key] for key in ("totals", "evals", "warnings")}
