"""The installed packages, and the Keras and backend that a program would get.

Everything is read from package metadata and Keras's configuration file: nothing is imported.
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

# The import name of each backend, and the distributions that provide it.
_BACKENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tf-nightly", "tensorflow-macos"),
    "jax": ("jax",),
    "torch": ("torch",),
    "openvino": ("openvino",),
    "numpy": ("numpy",),
}
_DEFAULT_BACKEND: Final = "tensorflow"
_OPENTELEMETRY_PACKAGES: Final = ("api", "sdk", "instrumentation", "exporter-otlp", "distro")
# The extra under which keras_otel lists the versions of Keras that it supports.
_INSTRUMENTS_EXTRA: Final = "instruments-any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The Keras that a program would import.

    Attributes:
        package: `keras` or `tf_keras`; None where neither is installed.
        backend: The backend's name, whether Keras has it or not.
        is_ready: Whether the package and its backend are installed.
    """

    package: str | None
    backend: str
    is_ready: bool


def check_packages(findings: Findings, environ: Mapping[str, str]) -> Runtime:
    """Check the versions of Python, Keras, its backend and OpenTelemetry."""
    version = platform.python_version()
    findings.add_fact(
        "python",
        "Python",
        f"{version}, {sys.executable}",
        {"version": version, "executable": sys.executable},
    )
    runtime = _check_keras(findings, environ)
    _check_opentelemetry(findings)
    _check_entry_point(findings)
    return runtime


def installed_version(*distributions: str) -> str | None:
    """Return the version of the first of these distributions that is installed."""
    for distribution in distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def _check_keras(findings: Findings, environ: Mapping[str, str]) -> Runtime:
    versions = {name: installed_version(name) for name in ("keras", "tf-keras")}
    installed = [f"{name} {version}" for name, version in versions.items() if version]
    findings.add_fact("keras", "Keras", ", ".join(installed) or "not installed", versions)
    if not installed:
        findings.add_problem(
            f"Keras is not installed for {sys.executable}",
            f"Install a backend with it (pip install '{DISTRIBUTION}[tensorflow]'), or run the "
            "doctor under your service's Python: python -m keras_otel.cli doctor",
        )
    major = int((versions["keras"] or "0").partition(".")[0])
    if major < 3:
        # Keras 2 runs on TensorFlow, whatever KERAS_BACKEND says.
        backend = _DEFAULT_BACKEND
        source = "the only backend of Keras 2" if installed else "default"
    else:
        backend, source = _configured_backend(environ)
    is_installed = _check_backend(findings, backend, source, is_needed=bool(installed))
    package = "keras" if versions["keras"] else "tf_keras" if versions["tf-keras"] else None
    return Runtime(package=package, backend=backend, is_ready=is_installed and package is not None)


def _configured_backend(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the backend that Keras 3 uses, and where it is configured."""
    if environ.get("KERAS_BACKEND"):
        return environ["KERAS_BACKEND"], "KERAS_BACKEND"
    home = Path.home()
    path = Path(environ.get("KERAS_HOME") or home / ".keras").expanduser() / "keras.json"
    try:
        backend = str(json.loads(path.read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        # Keras too ignores a file that it cannot read.
        return _DEFAULT_BACKEND, "default"
    is_below_home = path.is_relative_to(home)
    return backend, f"~/{path.relative_to(home)}" if is_below_home else str(path)


def _check_backend(findings: Findings, backend: str, source: str, *, is_needed: bool) -> bool:
    """Check that the backend exists and is installed; return whether it is installed."""
    distributions = _BACKENDS.get(backend)
    is_installed = distributions is not None and find_spec(backend) is not None
    version = installed_version(*distributions) if distributions and is_installed else None
    state = version or ("version unknown" if is_installed else "not installed")
    findings.add_fact(
        "backend",
        "Backend",
        f"{backend} {state} ({source})",
        {"name": backend, "version": version, "source": source},
    )
    if distributions is None:
        matches = difflib.get_close_matches(backend, _BACKENDS, n=1)
        hint = f"Did you mean {matches[0]!r}? " if matches else ""
        findings.add_problem(
            f"{source} names the backend {backend!r}, which Keras does not have",
            f"{hint}Write one of {', '.join(_BACKENDS)}",
        )
    elif not is_installed and is_needed:
        # Every environment has numpy, so its presence does not suggest it as a backend.
        others = [name for name in _BACKENDS if name != "numpy" and find_spec(name)]
        alternative = f", or set KERAS_BACKEND={others[0]}, which is installed" if others else ""
        findings.add_problem(
            f"the backend {backend} ({source}) is not installed",
            f"pip install {distributions[0]}{alternative}",
        )
    return is_installed


def _check_opentelemetry(findings: Findings) -> None:
    versions = {
        name: installed_version(f"opentelemetry-{name}") for name in _OPENTELEMETRY_PACKAGES
    }
    text = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    findings.add_fact("opentelemetry", "OpenTelemetry", text or "not installed", versions)
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return  # reported by the check of the entry point
    for requirement in map(Requirement, requirements):
        if requirement.marker is None:
            _check_requirement(findings, requirement, is_optional=False)
        elif requirement.marker.evaluate({"extra": _INSTRUMENTS_EXTRA}):
            _check_requirement(findings, requirement, is_optional=True)


def _check_requirement(findings: Findings, requirement: Requirement, *, is_optional: bool) -> None:
    version = installed_version(requirement.name)
    if version is None and is_optional:
        return
    if version is None or not requirement.specifier.contains(version, prereleases=True):
        findings.add_problem(
            f"{requirement.name} {version or 'is not installed'}: keras_otel needs "
            f"{requirement.specifier}",
            f"pip install -U '{requirement.name}{requirement.specifier}'",
        )


def _check_entry_point(findings: Findings) -> None:
    """Check that opentelemetry-instrument finds keras_otel."""
    entry_points = metadata.entry_points(group="opentelemetry_instrumentor", name="keras")
    is_found = any(entry_point.value.startswith("keras_otel.") for entry_point in entry_points)
    findings.add_fact(
        "keras_otel",
        "keras_otel",
        f"{__version__}, {'found' if is_found else 'not found'} by opentelemetry-instrument",
        {"version": __version__, "entry_point": is_found},
    )
    if not is_found:
        findings.add_problem(
            "keras_otel is not installed as a package, so opentelemetry-instrument cannot find it",
            f"pip install {DISTRIBUTION}; a copied folder works with keras_otel.instrument() only",
        )
