from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
VARIANTS = ["bare", "manual", "spans", "metrics", "unsampled", "no_sdk", "uninstrumented"]


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_overhead_measures_every_variant_of_every_call(tmp_path: Path) -> None:
    """A quick run says the same facts by hand and by keras_otel and writes the promised JSON."""
    pytest.importorskip("tensorflow")
    file = tmp_path / "overhead.json"

    done = _run("overhead.py", "--quick", "--rows", "1", "3", "--json", str(file))

    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text(encoding="utf-8"))
    assert [(c["call"], c["rows"], c["variant"]) for c in report["cases"]] == [
        (call, rows, variant)
        for call in ("predict_on_batch", "call", "traced")
        for rows in (1, 3)
        for variant in VARIANTS
    ]
    assert all(c["median_us"] > 0 and isinstance(c["added_us"], float) for c in report["cases"])
    assert report["import_loads"] == []
    assert {"predict_100k", "import_ms", "targets", "machine"} <= report.keys()


def test_too_few_rounds_are_refused_in_one_line() -> None:
    """Figures from fewer than seven rounds say nothing, so they are not offered."""
    done = _run("overhead.py", "--rounds", "3")

    assert done.returncode == 2
    assert "--rounds must be at least 7" in done.stderr
    assert "Traceback" not in done.stderr


def test_memory_run_ends_with_a_verdict() -> None:
    """A short run reads memory, prints the slope, and fails where the bound cannot be met."""
    pytest.importorskip("tensorflow")

    done = _run("memory.py", "--inferences", "1000", "--bound=-1e12")

    assert done.returncode == 1, done.stderr
    assert "GROWS" in done.stdout


def test_an_unknown_peer_is_refused_in_one_line() -> None:
    """A name that is no peer is answered with the names that are."""
    done = _run("peers.py", "nobody")

    assert done.returncode == 2
    assert "no such peer: nobody; choose from openinference-instrumentation" in done.stderr
