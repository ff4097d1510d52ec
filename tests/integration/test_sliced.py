"""From one line of keras_otel in a service to the slice that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from programs import Programs


def test_a_service_s_own_file_is_sliced(programs: Programs, tmp_path: Path) -> None:
    """Each request is one row, however and wherever its evaluation was recorded; refunds fail."""
    path = tmp_path / "traces.jsonl"
    said = json.loads(programs.run("evaluated.py", str(path)).stdout)
    sliced = subprocess.run(
        [sys.executable, "-m", "keras_otel.cli", "slice", str(path), "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(sliced.stdout)
    (family,) = document["evals"]
    first = family["slices"][0]

    assert (family["eval"], family["model"]) == ("correct", "intent")
    assert document["totals"]["rows"] == document["totals"]["traces"] == said["requests"]
    assert document["totals"]["failed"] == said["failed"]
    assert first["predicates"] == [{"attribute": "keras.prediction.class", "value": "refund"}]
    assert first["failed"] == first["n"] == said["failed"]
    assert document["accounting"]["rows"]["ambiguous"] == 0
