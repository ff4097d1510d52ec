"""Trials that do not go well."""

from __future__ import annotations

import os

import pytest

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.packages import Runtime
from keras_otel.diagnostics.trial import check_counts, check_trial, grouped

RUNTIME = Runtime(package="keras", backend="numpy", is_ready=True)


def tried(path, timeout_s=60.0, runtime=RUNTIME) -> Findings:
    """A trial in whose Python path this folder comes first."""
    findings = Findings()
    check_trial(findings, {**os.environ, "PYTHONPATH": str(path)}, runtime, timeout_s)
    return findings


@pytest.mark.parametrize(
    ("keras", "what"),
    [
        ("raise ImportError('libcudart is missing')", "failed: ImportError: libcudart is missing"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
        ("import os; os._exit(7)", "ended with code 7"),
    ],
)
def test_a_keras_that_cannot_be_imported(tmp_path, keras, what):
    """A broken Keras is one line with its last words, not the doctor's own end."""
    (tmp_path / "keras.py").write_text(keras)
    (problem,) = tried(tmp_path).problems
    assert problem.what == f"the trial {what}"
    assert "python -m keras_otel.diagnostics.probe" in problem.mend


def test_a_trial_that_hangs(tmp_path):
    """A trial that takes too long is ended, and the options that help are named."""
    (tmp_path / "keras.py").write_text("import time; time.sleep(60)")
    (problem,) = tried(tmp_path, timeout_s=1.0).problems
    assert "longer than 1 s" in problem.what
    assert "--timeout" in problem.mend


def test_no_trial_without_a_backend(tmp_path):
    """Where Keras or its backend is missing, that was said already."""
    findings = tried(tmp_path, runtime=Runtime(package=None, backend="jax", is_ready=False))
    assert findings.problems == []
    assert "not run" in findings.facts[0].text


def test_counts_are_problems_only_where_there_are_some():
    """No failures and no drops are said and are fine."""
    check_counts(fine := Findings(), {}, {})
    assert [fact.text for fact in fine.facts] == ["none", "none"]
    assert fine.problems == []
    check_counts(bad := Findings(), {"decode": 2}, {"queue": 3})
    assert len(bad.problems) == 2


def test_patched_names_are_grouped_by_owner():
    """The owner is said once, its attributes after it."""
    names = ["keras.src.m.Model.predict", "keras.src.m.Model.fit", "keras.src.lib.load_model"]
    assert grouped(names) == "keras.Model: predict, fit; keras.lib: load_model"
