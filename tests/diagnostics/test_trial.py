"""Trials that fail."""

from __future__ import annotations

import os

import pytest

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.instrumentation import check_counts, group_by_owner
from keras_otel.diagnostics.packages import Runtime
from keras_otel.diagnostics.trial import check_trial

RUNTIME = Runtime(package="keras", backend="numpy", is_ready=True)


def run_trial(path, timeout_s=60.0, runtime=RUNTIME) -> Findings:
    """Run a trial with this folder first on its Python path."""
    findings = Findings()
    check_trial(findings, {**os.environ, "PYTHONPATH": str(path)}, runtime, timeout_s)
    return findings


@pytest.mark.parametrize(
    ("keras", "message"),
    [
        ("raise ImportError('libcudart is missing')", "failed: ImportError: libcudart is missing"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was terminated by SIGSEGV"),
        ("import os; os._exit(7)", "exited with code 7"),
    ],
)
def test_a_keras_that_cannot_be_imported(tmp_path, keras, message):
    """A broken Keras is one line with the end of its output, and the doctor goes on."""
    (tmp_path / "keras.py").write_text(keras)
    (problem,) = run_trial(tmp_path).problems
    assert problem.message == f"the trial {message}"
    assert "python -m keras_otel.diagnostics.probe" in problem.fix


def test_a_trial_that_hangs(tmp_path):
    """A trial that takes too long is terminated, and the options that help are named."""
    (tmp_path / "keras.py").write_text("import time; time.sleep(60)")
    (problem,) = run_trial(tmp_path, timeout_s=1.0).problems
    assert "longer than 1 s" in problem.message
    assert "--timeout" in problem.fix


def test_no_trial_without_a_backend(tmp_path):
    """Where Keras or its backend is missing, another check has reported it."""
    findings = run_trial(tmp_path, runtime=Runtime(package=None, backend="jax", is_ready=False))
    assert findings.problems == []
    assert "skipped" in findings.facts[0].text


def test_counts_are_problems_only_where_there_are_some():
    """No failures and no drops are facts and no problems."""
    check_counts(fine := Findings(), {}, {})
    assert [fact.text for fact in fine.facts] == ["none", "none"]
    assert fine.problems == []
    check_counts(bad := Findings(), {"decode": 2}, {"queue": 3})
    assert len(bad.problems) == 2


def test_patched_names_are_grouped_by_owner():
    """The owner stands once, its attributes after it."""
    names = ["keras.src.m.Model.predict", "keras.src.m.Model.fit", "keras.src.lib.load_model"]
    assert group_by_owner(names) == "keras.Model: predict, fit; keras.lib: load_model"
