"""Which Keras, backend and OpenTelemetry are found, without importing them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import keras_otel
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.packages import check_packages


def checked(environ):
    """Return the runtime and the findings of this environment."""
    findings = Findings()
    return check_packages(findings, environ), findings


def with_keras_3():
    """Skip where Keras 3 is not installed: Keras 2 knows one backend only."""
    try:
        major = int(metadata.version("keras").partition(".")[0])
    except metadata.PackageNotFoundError:
        major = 0
    if major < 3:
        pytest.skip("Keras 3 is not installed")


def test_backend_of_the_variable_goes_before_the_file(tmp_path):
    """KERAS_BACKEND counts before keras.json, as for Keras itself."""
    with_keras_3()
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    runtime, findings = checked({"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "numpy"})
    assert (runtime.backend, runtime.is_ready) == ("numpy", True)
    assert findings.problems == []
    assert findings.as_json()["facts"]["backend"]["source"] == "KERAS_BACKEND"


@pytest.mark.parametrize(
    ("content", "backend"),
    [('{"backend": "numpy"}', "numpy"), ("{broken", "tensorflow"), ("[]", "tensorflow")],
)
def test_backend_of_the_file(tmp_path, content, backend):
    """keras.json names the backend, and a broken one is passed over, as Keras does."""
    with_keras_3()
    (tmp_path / "keras.json").write_text(content)
    runtime, _ = checked({"KERAS_HOME": str(tmp_path)})
    assert runtime.backend == backend


def test_backend_that_keras_does_not_have(tmp_path):
    """A misspelt backend is named with the one that was probably meant."""
    with_keras_3()
    runtime, findings = checked({"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "tensorflw"})
    assert not runtime.is_ready
    (problem,) = findings.problems
    assert "'tensorflow'" in problem.fix


def bare_environment(folder: Path) -> Path:
    """A virtual environment with keras_otel, its base dependencies and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in required_distributions("keras-otel"):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            source = Path(distribution.locate_file(top))
            if source.suffix != ".pth" and not (site / top).exists():
                (site / top).symlink_to(source)
    if not (site / "keras_otel").exists():  # installed as editable
        (site / "keras_otel").symlink_to(Path(keras_otel.__file__).parent)
    return folder / "bin" / "python"


def required_distributions(name: str) -> set[str]:
    """A distribution and all that it needs, without extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += [
            requirement.name
            for requirement in map(Requirement, metadata.requires(name) or [])
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
    return found


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> str:
    """The Python of such an environment."""
    return os.fspath(bare_environment(tmp_path_factory.mktemp("bare")))


def test_works_without_keras(keras_otel_cli, bare_python, tmp_path):
    """With the base dependencies alone the doctor says that Keras is missing, and how to go on."""
    outcome = keras_otel_cli("doctor", "--endpoint", "file:t.jsonl", python=bare_python)
    assert outcome.code == 2, outcome.stderr
    assert outcome.stderr == ""
    assert "Keras          not installed" in outcome.stdout
    assert "1 problem found" in outcome.stdout
    assert "pip install 'keras-otel[tensorflow]'" in outcome.stdout
    assert "no file yet, its folder is writable" in outcome.stdout


def test_reports_a_process_without_keras(bare_python, environ):
    """`report()` needs no Keras either."""
    code = (
        "import keras_otel; from keras_otel.diagnostics import report; "
        "keras_otel.instrument(export='file:t.jsonl'); print(report())"
    )
    child = subprocess.run(
        [bare_python, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    assert "no problems found" in child.stdout


def test_opentelemetry_that_is_too_old(keras_otel_cli, tmp_path):
    """An older OpenTelemetry than keras_otel needs is named with the command that updates it."""
    folder = tmp_path / "older" / "opentelemetry_sdk-1.20.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: opentelemetry-sdk\nVersion: 1.20.0\n"
    )
    outcome = keras_otel_cli(
        "doctor", "--no-probe", "--json", env={"PYTHONPATH": str(folder.parent)}
    )
    (problem,) = json.loads(outcome.stdout)["problems"]
    assert problem["message"].startswith("opentelemetry-sdk 1.20.0: keras_otel needs >=")
    assert problem["fix"].startswith("pip install -U 'opentelemetry-sdk>=")
