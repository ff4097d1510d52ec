"""`keras-otel dashboards` from end to end."""

from __future__ import annotations

import json
import subprocess
import sys

import yaml


def test_export(keras_otel_cli, tmp_path):
    """Three files are written, and each is named."""
    outcome = keras_otel_cli("dashboards", "export", str(tmp_path), "--service", "chat")
    files = [
        tmp_path / "grafana" / "keras-upstream.json",
        tmp_path / "prometheus" / "keras.yaml",
        tmp_path / "jaeger" / "ui.json",
    ]

    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout.splitlines() == [str(file) for file in files]
    assert json.loads(files[0].read_text())["uid"] == "keras-upstream"
    assert yaml.safe_load(files[1].read_text())["groups"]
    assert json.loads(files[2].read_text())["linkPatterns"]


def test_bad_input_is_one_line(keras_otel_cli, tmp_path):
    """No folder, an unknown action, an invalid URL, a folder that cannot be written."""
    (tmp_path / "file").write_text("")
    for arguments, message in (
        (["export"], "the following arguments are required: DIR"),
        (["import", "x"], "invalid choice: 'import'"),
        (["export", "x", "--grafana", "localhost:3000"], "write a URL such as http://"),
        (["export", str(tmp_path / "file")], "cannot be written: "),
    ):
        outcome = keras_otel_cli("dashboards", *arguments)
        assert outcome.code == 2
        assert message in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1


def test_without_the_extra(tmp_path):
    """What is not installed is named, with the way to install it."""
    code = (
        "import sys; from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = classmethod(lambda cls, name, *rest:"
        " None if name.startswith('grafana_foundation_sdk') else find(name, *rest))\n"
        "from keras_otel.cli import main\n"
        f"sys.exit(main(['dashboards', 'export', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "pip install 'keras-otel[dashboards]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
