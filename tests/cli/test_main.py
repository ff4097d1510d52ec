"""The command line as a whole: help, documentation, usage errors, exit codes."""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import keras_otel
from keras_otel.cli import main, parser

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
ENVIRONMENT_VARIABLE = re.compile("[A-Z_]+=")


def commands() -> list[tuple[str, argparse.ArgumentParser]]:
    """Return each command and its parser."""
    (choices,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return list(choices.choices.items())


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_and_option_has_help_and_documentation(name, command):
    """Each command and option is in its help and in docs/cli.md."""
    documented = DOCS.read_text(encoding="utf-8")
    assert command.description
    assert f"## `keras-otel {name}`" in documented
    for action in command._actions:
        assert action.help, action.dest
        if not isinstance(action, argparse._HelpAction):
            name = action.option_strings[-1] if action.option_strings else action.metavar
            assert f"`{name}" in documented


def test_help_names_every_command(capsys):
    """`keras-otel --help` exits with 0 and names each command."""
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name, _ in commands())


def examples(command: argparse.ArgumentParser) -> list[str]:
    """Return the command lines in the examples of a command's help, each on one line."""
    lines = (command.epilog or "").replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if "keras-otel " in line]


@pytest.mark.parametrize(("name", "command"), [("", parser()), *commands()])
def test_examples_in_help_are_valid(name, command, capsys):
    """Each help has examples, of that command, and all of them can be parsed."""
    with pytest.raises(SystemExit, match="0"):
        main([*name.split(), "--help"])
    shown = capsys.readouterr().out
    assert command.epilog.strip() in shown
    assert examples(command)
    for example in examples(command):
        words = [word for word in shlex.split(example) if not ENVIRONMENT_VARIABLE.match(word)]
        assert words[: 1 + len(name.split())] == ["keras-otel", *name.split()]
        assert parser().parse_args(words[1:]).run


def test_version(keras_otel_cli):
    """`--version` prints the version alone."""
    outcome = keras_otel_cli("--version")
    assert (outcome.code, outcome.stdout) == (0, f"{keras_otel.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["docter"], "invalid choice: 'docter'"),
        (["doctor", "--no-prob", "x"], "unrecognized arguments: x"),
        (["doctor", "--endpoint", "ftp://me:s3cret@h"], "write http://host:4318"),
        (["doctor", "--timeout", "0"], "positive number of seconds"),
        (["doctor", "--timeout", "soon"], "positive number of seconds"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(arguments, message, capsys):
    """Bad usage gets one line that names the help, without secrets, and exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    shown = capsys.readouterr().err
    assert stopped.value.code == 2
    assert shown.count("\n") == 1
    assert message in shown
    assert "--help" in shown
    assert "s3cret" not in shown


def test_a_reader_that_exits_is_no_traceback(environ):
    """`keras-otel doctor | head -0` prints nothing to standard error."""
    child = subprocess.Popen(
        [sys.executable, "-m", "keras_otel.cli", "doctor", "--no-probe"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child.stdout.close()
    with child.stderr:
        assert child.stderr.read() == b""
    assert child.wait() == 2


def test_ctrl_c_is_no_traceback(environ, tmp_path):
    """An interrupt ends the doctor and its trial quietly, with the code that shells expect."""
    if find_spec("keras") is None:
        pytest.skip("without Keras there is no trial to interrupt")
    started = tmp_path / "started"
    (tmp_path / "keras.py").write_text(f"open({str(started)!r}, 'w'); import time; time.sleep(60)")
    with subprocess.Popen(
        [sys.executable, "-m", "keras_otel.cli", "doctor"],
        env={**environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        while not started.exists():
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        stdout, stderr = child.communicate()
    assert (child.returncode, stdout, stderr) == (130, b"", b"")
