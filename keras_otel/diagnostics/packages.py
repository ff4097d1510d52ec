"""Which packages are installed, and which Keras and backend a program would get.

Everything here is read from package metadata and Keras's configuration file: nothing is imported.
"""

from __future__ import annotations

import difflib
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from keras_otel.diagnostics.findings import Findings
from keras_otel.version import __version__

DISTRIBUTION: Final = "keras-otel"

# Import name, and the distributions that bring it.
_BACKENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tf-nightly", "tensorflow-macos"),
    "jax": ("jax",),
    "torch": ("torch",),
    "openvino": ("openvino",),
    "numpy": ("numpy",),
}
_DEFAULT_BACKEND: Final = "tensorflow"
_SHOWN: Final = ("api", "sdk", "instrumentation", "exporter-otlp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What `import keras` would give here.

    Attributes:
        package: `keras` or `tf_keras`; None where neither is installed.
        backend: The backend's name, known or not.
        is_ready: Whether the package and its backend are installed.
    """

    package: str | None
    backend: str
    is_ready: bool


def check_packages(findings: Findings, environ: Mapping[str, str]) -> Runtime:
    """Python, Keras, its backend and OpenTelemetry."""
    findings.fact(
        "python",
        "Python",
        f"{platform.python_version()}, {sys.executable}",
        {"version": platform.python_version(), "executable": sys.executable},
    )
    runtime = _check_keras(findings, environ)
    _check_opentelemetry(findings)
    _check_entry_point(findings)
    return runtime


def installed_version(*distributions: str) -> str | None:
    """The version of the first of these distributions that is installed."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _check_keras(findings: Findings, environ: Mapping[str, str]) -> Runtime:
    versions = {name: installed_version(name) for name in ("keras", "tf-keras")}
    found = [f"{name} {version}" for name, version in versions.items() if version]
    findings.fact("keras", "Keras", ", ".join(found) or "not installed", versions)
    if not found:
        findings.wrong(
            f"Keras is not installed for {sys.executable}",
            f"Install a backend with it (pip install '{DISTRIBUTION}[tensorflow]'), or run the "
            "doctor under your service's Python: python -m keras_otel.cli doctor",
        )
    major = int((versions["keras"] or "0").partition(".")[0])
    if major < 3:
        # Keras 2 runs on TensorFlow, whatever KERAS_BACKEND says.
        backend, source = _DEFAULT_BACKEND, "the only one of Keras 2" if found else "default"
    else:
        backend, source = _chosen_backend(environ)
    is_ready = _check_backend(findings, backend, source, is_needed=bool(found))
    package = "keras" if versions["keras"] else "tf_keras" if versions["tf-keras"] else None
    return Runtime(package=package, backend=backend, is_ready=is_ready and package is not None)


def _chosen_backend(environ: Mapping[str, str]) -> tuple[str, str]:
    """The backend that Keras 3 takes, and who says so."""
    if environ.get("KERAS_BACKEND"):
        return environ["KERAS_BACKEND"], "KERAS_BACKEND"
    home = Path.home()
    path = Path(environ.get("KERAS_HOME") or home / ".keras").expanduser() / "keras.json"
    try:
        configured = json.loads(path.read_text(encoding="utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        # Keras too goes on with its default.
        return _DEFAULT_BACKEND, "default"
    return str(configured), f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(
        path
    )


def _check_backend(findings: Findings, backend: str, source: str, *, is_needed: bool) -> bool:
    distributions = _BACKENDS.get(backend)
    is_installed = distributions is not None and find_spec(backend) is not None
    version = installed_version(*distributions) if distributions and is_installed else None
    state = version or ("version unknown" if is_installed else "not installed")
    findings.fact(
        "backend",
        "Backend",
        f"{backend} {state} ({source})",
        {"name": backend, "version": version, "source": source},
    )
    if distributions is None:
        near = difflib.get_close_matches(backend, _BACKENDS, n=1)
        hint = f"You may mean {near[0]!r}. " if near else ""
        findings.wrong(
            f"{source} names the backend {backend!r}, which Keras does not have",
            f"{hint}Write one of {', '.join(_BACKENDS)}",
        )
    elif not is_installed and is_needed:
        others = [name for name in _BACKENDS if name != "numpy" and find_spec(name)]
        instead = f", or set KERAS_BACKEND={others[0]}, which is installed" if others else ""
        findings.wrong(
            f"the backend {backend} ({source}) is not installed",
            f"pip install {distributions[0]}{instead}",
        )
    return is_installed


def _check_opentelemetry(findings: Findings) -> None:
    versions = {name: installed_version(f"opentelemetry-{name}") for name in _SHOWN}
    versions["distro"] = installed_version("opentelemetry-distro")
    text = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    findings.fact("opentelemetry", "OpenTelemetry", text or "not installed", versions)
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return  # said by the entry point's check
    for requirement in map(Requirement, requirements):
        extra = "instruments-any"
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            _check_requirement(findings, requirement, is_optional=requirement.marker is not None)


def _check_requirement(findings: Findings, requirement: Requirement, *, is_optional: bool) -> None:
    version = installed_version(requirement.name)
    if version is None and is_optional:
        return
    if version is None or not requirement.specifier.contains(version, prereleases=True):
        findings.wrong(
            f"{requirement.name} {version or 'is missing'}: keras_otel needs "
            f"{requirement.specifier}",
            f"pip install -U '{requirement.name}{requirement.specifier}'",
        )


def _check_entry_point(findings: Findings) -> None:
    group = metadata.entry_points(group="opentelemetry_instrumentor", name="keras")
    is_ours = any(entry.value.startswith("keras_otel.") for entry in group)
    findings.fact(
        "keras_otel",
        "keras_otel",
        f"{__version__}, {'found' if is_ours else 'not found'} by opentelemetry-instrument",
        {"version": __version__, "entry_point": is_ours},
    )
    if not is_ours:
        findings.wrong(
            "keras_otel is not installed as a package, so opentelemetry-instrument cannot find it",
            f"pip install {DISTRIBUTION}; a copied folder works with keras_otel.instrument() only",
        )
