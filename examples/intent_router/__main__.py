"""A chat service whose LLM fails because of its upstream Keras model, and how to see it.

    python examples/intent_router
    python examples/intent_router --otlp http://localhost:4318

Everything runs on this machine; no server is needed. The traces go to a file of OTLP JSON lines,
and with `--otlp` to a Collector or backend too.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
TRACES = "traces.jsonl"
REPORT = "report.html"

_PACKAGES = {
    "keras_otel": "keras-otel",
    "keras": "keras",
    "chatterbot_corpus": "chatterbot-corpus",
    "duckdb": "duckdb",
    "fastapi": "fastapi",
    "httpx": "httpx",
    "openai": "openai",
    "rich": "rich",
    "uvicorn": "uvicorn",
    "yaml": "pyyaml",
}
"""What the demo imports, and the package that has it."""


class DemoError(Exception):
    """What the user has to mend, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What was asked for.

    Attributes:
        out: The folder for models, traces and the report.
        otlp: Where the telemetry goes too, such as `http://localhost:4318`.
        requests: How many questions the users ask.
        seed: Decides the models' first weights, and who asks what.
    """

    out: Path
    otlp: str
    requests: int
    seed: int

    @property
    def traces(self) -> Path:
        """The file of OTLP JSON lines."""
        return self.out / TRACES

    @property
    def report(self) -> Path:
        """The page with the slices."""
        return self.out / REPORT


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    args = _arguments(arguments)
    try:
        _check_packages()
        # These are imported once it is known that what they need is installed.
        from load import LoadError
        from processes import ProgramError

        try:
            run(Demo(out=_folder(args.out), otlp=args.otlp, requests=args.requests, seed=args.seed))
        except (LoadError, ProgramError) as error:
            raise DemoError(str(error)) from error
    except DemoError as error:
        print(f"intent_router: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nintent_router: stopped", file=sys.stderr)
        return 130
    return 0


def run(demo: Demo) -> None:
    """Train, serve, ask, slice."""
    from processes import run as run_program

    if demo.otlp:
        _check_answers(demo.otlp)
    demo.traces.unlink(missing_ok=True)
    print("1. Training two versions of the intent model; v2 lost data of emotion and trivia ...")
    run_program("train.py", demo.out / "models", "--seed", str(demo.seed))
    print(f"2. {demo.requests} questions to the chat service; half-way, v2 is deployed ...")
    _serve(demo)
    print("3. Which upstream predictions do the wrong answers come from?\n", flush=True)
    _slice(demo)
    _say_where(demo)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="intent_router",
        description="Run a chat service behind a Keras intent model, and slice its failures.",
    )
    parser.add_argument(
        "--otlp",
        metavar="URL",
        default="",
        help="send the telemetry there too, such as http://localhost:4318",
    )
    parser.add_argument(
        "--requests",
        type=_whole_number(20, 1_000_000),
        default=1600,
        help="how many questions the users ask (default: 1600)",
    )
    parser.add_argument(
        "--seed",
        type=_whole_number(0, 2**31 - 1),
        default=1,
        help="another seed trains other models and asks other questions (default: 1)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-output"),
        help="folder for the models, the traces and the report (default: demo-output)",
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


def _check_answers(endpoint: str) -> None:
    """Say now that nothing listens there, and not after the training."""
    try:
        parts = urlsplit(endpoint)
        address = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        address = None, 0
    if address[0] is None or parts.scheme not in ("http", "https", "grpc", "grpcs"):
        raise DemoError(f"--otlp cannot be {endpoint!r}: write http://localhost:4318")
    try:
        socket.create_connection(address, timeout=3).close()
    except OSError as error:
        raise DemoError(
            f"nothing answers at --otlp {endpoint} ({error}): start the receiver, or leave --otlp "
            "out to write a file only"
        ) from error


def _serve(demo: Demo) -> None:
    from load import put_load
    from processes import serving
    from progress import counting

    with serving("llm:app", demo.out / "llm.log", {}) as llm:
        environment = {
            "OTEL_SERVICE_NAME": "chat",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            "OTEL_PYTHON_KERAS_OPENINFERENCE": "true",
            "OTEL_PYTHON_KERAS_EXPORT": demo.otlp or f"file:{demo.traces}",
            "MODELS": str(demo.out / "models"),
        }
        if demo.otlp:
            environment["TRACES_COPY"] = str(demo.traces)
        if not os.environ.get("OPENAI_BASE_URL"):
            # A key alone, as many have in their environment, is not meant for 1600 questions.
            environment |= {
                "OPENAI_BASE_URL": f"{llm}/v1",
                "OPENAI_API_KEY": "none",
                "OPENAI_MODEL": "corpus-reader",
            }
        with (
            serving("service:app", demo.out / "service.log", environment) as service,
            counting(demo.requests) as progress,
        ):
            failed = put_load(
                service, demo.requests, deploy="v2", seed=demo.seed, progress=progress
            )
    if failed:
        print(f"   {failed} requests got no answer: {demo.out / 'service.log'} may say why")


def _slice(demo: Demo) -> None:
    command = [sys.executable, "-m", "keras_otel.cli", "slice", str(demo.traces)]
    command += ["--cluster", "session.id"]
    for output in ([], ["-o", str(demo.report)]):
        done = subprocess.run([*command, *output], check=False)
        if done.returncode != 0:
            raise DemoError(f"keras-otel slice failed with exit status {done.returncode}")


def _say_where(demo: Demo) -> None:
    traces, report = _short(demo.traces), _short(demo.report)
    python = _short(Path(sys.executable))
    here = _short(HERE)
    print(f"\nTraces and logs are in {traces} (OTLP JSON lines), the page is {report}.")
    if demo.otlp:
        print(f"They went to {demo.otlp} too, with the metrics.")
    print("Next:")
    keras_otel = _short(Path(sys.executable).with_name("keras-otel"))
    print(f"  {keras_otel} slice {shlex.quote(traces)} --all    every slice that was tested")
    print(f"  {python} {here} --seed {demo.seed + 1}    other models and users")
    if not demo.otlp:
        print("  docker compose up    the same in Jaeger, Prometheus and Grafana")


def _short(path: Path) -> str:
    """A path as one types it from here, where that is shorter."""
    below = os.path.relpath(path)
    return below if len(below) < len(str(path)) else str(path)


if __name__ == "__main__":
    sys.exit(main())
