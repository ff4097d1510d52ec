"""Train a small intent classifier, serve it in another process, show what was exported.

    python examples/intent_router
    python examples/intent_router --seed 7

Spans go to a file of OTLP JSON lines, or to OTEL_EXPORTER_OTLP_ENDPOINT where that is set.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent

_PACKAGES = {
    "keras_otel": "keras-otel",
    "keras": "keras",
    "tensorflow": "tensorflow",
    "chatterbot_corpus": "chatterbot-corpus",
    "yaml": "pyyaml",
    "rich": "rich",
}
"""What the demo imports, and the package that has it."""

# TensorFlow's C++ log lines on processors and drivers, which no setting silences.
_TENSORFLOW_LOG = re.compile(r"[IWE]\d{4} \d\d:\d\d:\d+|WARNING: All log messages before absl")


class DemoError(Exception):
    """What the user has to mend, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the spans go, and the file of OTLP JSON lines that the table is read from."""

    export: str
    file: Path

    @property
    def is_file(self) -> bool:
        """True if the spans go to the file only."""
        return self.export.startswith("file:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the card of a saved model says of its training."""

    version: str
    seed: int


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    args = _arguments(arguments)
    try:
        run(args)
    except DemoError as error:
        print(f"intent_router: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nintent_router: stopped", file=sys.stderr)
        return 130
    return 0


def run(args: argparse.Namespace) -> None:
    """Train, serve, show."""
    _check_packages()
    out = _folder(args.out)
    target = _target(out / "traces.jsonl")
    # The name `models` cannot be taken for a version, as a folder named `7` would be.
    model = out / "models" / "intent.keras"
    before = _trained(model)

    print("Loading Keras and TensorFlow ...", flush=True)
    options = ["--seed", str(args.seed), "--epochs", str(args.epochs)]
    _process("train.py", model, *options)
    print("\nServing it from a new process ...\n", flush=True)
    target.file.unlink(missing_ok=True)
    copy = [] if target.is_file else ["--copy", target.file]
    _process("serve.py", model, "--export", target.export, *copy)
    _show(target, before, args)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="intent_router",
        description="Train a small intent classifier, serve it, and show the spans it exported.",
        epilog="Set OTEL_EXPORTER_OTLP_ENDPOINT to send the spans to a server.",
    )
    parser.add_argument(
        "--seed",
        type=_whole_number(0, 2**32 - 1),
        default=1,
        help="another seed trains another model (default: 1)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-output"),
        help="folder for the model and the spans (default: demo-output)",
    )
    parser.add_argument(
        "--epochs", type=_whole_number(1, 1000), default=8, help="rounds of training (default: 8)"
    )
    return parser.parse_args(arguments)


def _whole_number(least: int, most: int) -> Any:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return int(text)

    return parse


def _check_packages() -> None:
    missing = [name for module, name in _PACKAGES.items() if not importlib.util.find_spec(module)]
    if missing:
        raise DemoError(f"not installed: {', '.join(missing)}; pip install '.[demo]'")


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"--out {path}: no such folder can be made ({error.strerror})") from error
    if not os.access(path, os.W_OK):
        raise DemoError(f"--out {path}: the folder is not writable; name another one")
    return path.resolve()


def _target(file: Path) -> Target:
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    if not endpoint:
        return Target(export=f"file:{file}", file=file)
    _check_answers(endpoint)
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc":
        endpoint = endpoint.replace("http", "grpc", 1)
    return Target(export=endpoint, file=file)


def _check_answers(endpoint: str) -> None:
    """Say now that nothing listens there, and not after the training."""
    try:
        parts = urlsplit(endpoint)
        address = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        address = None, 0
    if address[0] is None or parts.scheme not in ("http", "https"):
        raise DemoError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT cannot be {endpoint!r}: write http://localhost:4318"
        )
    try:
        socket.create_connection(address, timeout=3).close()
    except OSError as error:
        raise DemoError(
            f"nothing answers at OTEL_EXPORTER_OTLP_ENDPOINT={endpoint} ({error}): "
            "start the receiver, or unset the variable to write a file"
        ) from error


def _process(script: str, *arguments: str | Path) -> None:
    """Run one of the demo's programs, without TensorFlow's log lines unless it fails."""
    environment = {
        "OTEL_SERVICE_NAME": "intent-router",
        **os.environ,
        # Text goes into the model, and only TensorFlow has text tensors.
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    held_back = []
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        for line in process.stderr or ():
            if _TENSORFLOW_LOG.match(line):
                held_back.append(line)
            else:
                sys.stderr.write(line)
    if process.returncode != 0:
        sys.stderr.writelines(held_back)
        raise DemoError(f"{script} failed with exit status {process.returncode}, see above")


def _trained(model: Path) -> Trained | None:
    """What the card beside a model says, if there is one."""
    card = model.with_name(f"{model.name}.card.json")
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
        return Trained(version=content["fingerprint"], seed=content["lineage"]["seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _show(target: Target, before: Trained | None, args: argparse.Namespace) -> None:
    # Rich and the corpus are imported once it is known that they are installed.
    import report
    from rich.console import Console

    # A pipe has no width: make it wide enough for whole questions.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        rows = report.read_rows(target.file)
    except (OSError, ValueError) as error:
        raise DemoError(str(error)) from error
    report.show(rows, console)

    right = sum(row.is_right for row in rows)
    versions = sorted({row.version for row in rows})
    shown = ", ".join(versions)
    print(f"\n{len(rows)} inferences, {right} right; version {shown}, seed {args.seed}.")
    if before is not None:
        print(_comparison(before, versions[0]))
    print(_whereabouts(target))
    print(f"Next: {_next_command(args)} retrains it: other weights, another version.")


def _comparison(before: Trained, version: str) -> str:
    if before.version == version:
        return f"The run before had seed {before.seed} and the same weights: the same version."
    return f"The run before had seed {before.seed} and version {before.version}: a retrain shows."


def _whereabouts(target: Target) -> str:
    file = os.path.relpath(target.file)
    shown = file if len(file) < len(str(target.file)) else str(target.file)
    if target.is_file:
        return f"Spans and metrics are in {shown} (OTLP JSON lines)."
    return f"Spans and metrics went to {target.export}; the spans above are also in {shown}."


def _next_command(args: argparse.Namespace) -> str:
    # Under `make demo` the interpreter is that of .venv, which no shell has activated.
    inside = os.path.relpath(sys.executable)
    python = "python" if inside.startswith(os.pardir) else inside
    command = [python, os.path.relpath(HERE), "--seed", str(args.seed + 1)]
    if args.out != Path("demo-output"):
        command += ["--out", str(args.out)]
    return shlex.join(command)


if __name__ == "__main__":
    sys.exit(main())
