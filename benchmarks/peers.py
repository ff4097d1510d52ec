"""What other tracing packages add to a plain Python function, beside a hand-written span.

    python benchmarks/peers.py [--json FILE] [NAME ...]

Each peer gets a virtual environment of its own under `.cache/peers/`, made at the first run (which
needs a package index). In it `peer_probe.py` wraps one small numpy function the way the peer's
documentation says, and a second time by hand. Nothing is sent anywhere. A peer that cannot be
installed or run is a line of the table, not an error.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

PEERS = (
    "openinference-instrumentation",
    "logfire",
    "langfuse",
    "mlflow-tracing",
    "ddtrace",
    "newrelic",
)
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "peers"
_PROBE = Path(__file__).resolve().parent / "peer_probe.py"
_INSTALL_TIMEOUT_S = 600
_PROBE_TIMEOUT_S = 300


def measure_all(names: tuple[str, ...], rounds: int = 15) -> list[dict[str, Any]]:
    """Measure each peer in turn and print its line."""
    print(
        f"\n{'peer':30} {'version':>10} {'bare µs':>8} {'manual +µs':>11} {'peer +µs':>9} {'/ manual':>9}"
    )
    return [_shown(name, measure(name, rounds)) for name in names]


def measure(name: str, rounds: int) -> dict[str, Any]:
    """One peer's figures, or the reason that there are none."""
    python = CACHE / name / "bin" / "python"
    try:
        if not python.exists():
            _install(name)
        done = _run([str(python), str(_PROBE), name, str(rounds)], _PROBE_TIMEOUT_S)
        figures: dict[str, Any] = json.loads(done.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        return {"peer": name, "skipped": _last_line(error.stderr or error.stdout)}
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return {"peer": name, "skipped": str(error)}
    return {"peer": name, **figures}


def _install(name: str) -> None:
    venv.create(CACHE / name, with_pip=True, clear=True)
    python = CACHE / name / "bin" / "python"
    # The SDK is there for the hand-written span, whatever the peer itself needs.
    packages = ["numpy", "opentelemetry-sdk", name]
    try:
        _run([str(python), "-m", "pip", "install", "--quiet", *packages], _INSTALL_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError):
        python.unlink()  # so that the next run tries again
        raise


def _run(command: list[str], timeout_s: float) -> str:
    # One thread for numpy's matrix product, so that it does not compete with what is measured.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=timeout_s, env=environment
    )
    return done.stdout


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without a word"


def _shown(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    if "skipped" in figures:
        print(f"{name:30} not measured: {figures['skipped']}", flush=True)
        return figures
    print(
        f"{name:30} {figures['version']:>10} {figures['bare_us']:8.1f} {figures['manual_added_us']:11.1f} "
        f"{figures['added_us']:9.1f} {figures['ratio_to_manual']:9.2f}",
        flush=True,
    )
    return figures


def main() -> None:
    """Measure the peers that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(PEERS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--rounds", type=int, default=15, help="default %(default)s")
    options = parser.parse_args()
    unknown = set(options.names) - set(PEERS)
    if unknown:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; choose from {', '.join(PEERS)}")
    report = measure_all(tuple(options.names) or PEERS, options.rounds)
    if options.json is not None:
        options.json.write_text(json.dumps({"peers": report}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
