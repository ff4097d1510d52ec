from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
VARIANTS = [
    *("bare", "manual", "spans", "metrics", "everything", "inline_spans", "inline_everything"),
    *("unsampled", "no_sdk", "uninstrumented"),
]


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
        for call in ("ready", "predict_on_batch", "call", "traced")
        for rows in ((1,) if call == "ready" else (1, 3))
        for variant in VARIANTS
    ]
    assert all(c["median_us"] > 0 and isinstance(c["added_us"], float) for c in report["cases"])
    assert report["import_loads"] == []
    assert {"predict_100k", "slowest_calls", "import_ms", "targets", "machine"} <= report.keys()


def test_propagation_measures_every_case(tmp_path: Path) -> None:
    """A quick run times spans, publications, evaluations and inferences and judges the targets."""
    pytest.importorskip("tensorflow")
    file = tmp_path / "propagation.json"

    done = _run("propagation.py", "--quick", "--json", str(file))

    assert done.returncode == 0, done.stderr
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    assert [(c["case"], c["at_most_us"], c["at_most_ratio"]) for c in cases] == [
        ("span, not stamped, no prediction", 2.0, None),
        ("span, not stamped, after a prediction", 2.0, None),
        ("GenAI span, stamped", 8.0, None),
        ("publication, depth 1", None, None),
        ("publication, depth 8", None, None),
        ("record_evaluation, current span", None, None),
        ("record_evaluation, ended span", None, None),
        ("inference, ready, everything on", None, 1.5),
        ("inference, predict_on_batch, everything on", None, 1.5),
    ]
    assert all(c["span_us"] > 0 and isinstance(c["added_us"], float) for c in cases)
    has_target = [c["at_most_us"] or c["at_most_ratio"] for c in cases]
    assert [c["reached"] is not None for c in cases] == [bool(limit) for limit in has_target]


@pytest.mark.parametrize("script", ["overhead.py", "propagation.py"])
def test_too_few_rounds_are_refused_in_one_line(script: str) -> None:
    """Figures from fewer than seven rounds say nothing, so they are not offered."""
    done = _run(script, "--rounds", "3")

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


def test_slicing_is_simulated_and_timed(tmp_path: Path) -> None:
    """Few data sets and few spans go through both scripts, which write their figures."""
    pytest.importorskip("duckdb")
    null, planted, scale = (tmp_path / f"{name}.json" for name in ("null", "planted", "scale"))

    for script, arguments in (
        (
            "slice_simulations.py",
            ["--null", "2", "--only", "null in sessions of 15, with cluster", "--json", str(null)],
        ),
        ("slice_simulations.py", ["--seeds", "1", "--only", "XOR", "--json", str(planted)]),
        (
            "slice_scale.py",
            ["--traces", "2000", "--lines", "2000", "--runs", "1", "--json", str(scale)],
        ),
    ):
        done = _run(script, *arguments)
        assert done.returncode == 0, done.stderr

    (line,) = json.loads(null.read_text(encoding="utf-8"))
    assert (line["data_sets"], line["slices_tested"]) == (2, 576)
    (line,) = json.loads(planted.read_text(encoding="utf-8"))
    assert (line["data_sets"], line["causes"]) == (1, 2)
    report = json.loads(scale.read_text(encoding="utf-8"))
    assert report["all_slices"]["slices"] > 10_000
    assert min(report[name]["seconds"] for name in ("lines", "parquet")) > 0
