"""Misspelt names of environment variables."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Final

from keras_otel.diagnostics.findings import Findings
from keras_otel.options import VARIABLES

PREFIX: Final = "OTEL_PYTHON_KERAS_"
_WRONG_PREFIXES: Final = ("KERAS_OTEL_", "OTEL_KERAS_", "OTEL_INSTRUMENTATION_KERAS_")

_MODULES_OF_NAMES: Final = (
    "opentelemetry.environment_variables",
    "opentelemetry.sdk.environment_variables",
    "opentelemetry.instrumentation.environment_variables",
)
# Names that these modules lack: of the specification and of packages in common use.
_FURTHER_NAMES: Final = frozenset(
    {
        "OTEL_CONFIG_FILE",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        "OTEL_PYTHON_EXCLUDED_URLS",
        "OTEL_PYTHON_LOG_CORRELATION",
        "OTEL_PYTHON_LOG_FORMAT",
        "OTEL_PYTHON_LOG_LEVEL",
        "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED",
    }
)
# Other instrumentations read names of their own, so only one or two wrong letters are a typo.
_TYPO_SIMILARITY: Final = 0.93


def check_names(findings: Findings, environ: Mapping[str, str]) -> None:
    """Check for variables that nothing reads because their name is misspelt."""
    known = _known_names()
    for name in sorted(environ):
        if name in known:
            continue
        if name.startswith((PREFIX, *_WRONG_PREFIXES)):
            findings.add_problem(f"unknown variable {name}", _own_name_fix(name))
        elif name.upper().startswith("OTEL_") and (match := _intended_name(name, known)):
            findings.add_problem(f"unknown variable {name}", f"Rename it to {match}")


def closest_match(value: str, known: Iterable[str]) -> str | None:
    """Return the known value most similar to this one; None where none is similar."""
    by_plain_name = {name.replace("_", ""): name for name in known}
    matches = difflib.get_close_matches(value.lower().replace("_", ""), by_plain_name, n=1)
    return by_plain_name[matches[0]] if matches else None


def _known_names() -> frozenset[str]:
    modules: list[Any] = [import_module(module) for module in _MODULES_OF_NAMES]
    names = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, str) and value.startswith("OTEL_")
    }
    return frozenset({*names, *_FURTHER_NAMES, *VARIABLES})


def _own_name_fix(name: str) -> str:
    suffix = name
    for prefix in (PREFIX, *_WRONG_PREFIXES):
        suffix = suffix.removeprefix(prefix)
    known_suffixes = [variable.removeprefix(PREFIX) for variable in VARIABLES]
    matches = difflib.get_close_matches(suffix, known_suffixes, n=1)
    return f"Rename it to {PREFIX}{matches[0]}" if matches else f"Use one of {', '.join(VARIABLES)}"


def _intended_name(name: str, known: frozenset[str]) -> str | None:
    """Return the name of OpenTelemetry's that was probably meant."""
    upper_name = name.upper()
    if upper_name in known:
        return upper_name
    matches = difflib.get_close_matches(upper_name, known, n=1, cutoff=_TYPO_SIMILARITY)
    if matches:
        return matches[0]
    # A word left out, such as in OTEL_EXPORTER_ENDPOINT. Two words alone fit too many names.
    words = upper_name.split("_")
    candidates = [k for k in known if len(words) > 2 and _lacks_one_word(words, k.split("_"))]
    return min(candidates, key=len, default=None)


def _lacks_one_word(words: list[str], longer: list[str]) -> bool:
    return len(longer) == len(words) + 1 and any(
        longer[:position] + longer[position + 1 :] == words for position in range(len(longer))
    )
