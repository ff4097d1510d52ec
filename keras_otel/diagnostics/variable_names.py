"""Names and values of OpenTelemetry's variables that are all but right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Final

from keras_otel.diagnostics.findings import Findings
from keras_otel.options import VARIABLES

PREFIX: Final = "OTEL_PYTHON_KERAS_"
_MISREMEMBERED: Final = ("KERAS_OTEL_", "OTEL_KERAS_", "OTEL_INSTRUMENTATION_KERAS_")

_MODULES: Final = (
    "opentelemetry.environment_variables",
    "opentelemetry.sdk.environment_variables",
    "opentelemetry.instrumentation.environment_variables",
)
# Of the specification and of packages that are most often used; the modules above say the rest.
_ELSEWHERE: Final = frozenset(
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
# Other instrumentations read names of their own: only a slip of a letter or two is one.
_SAME: Final = 0.93


def check_names(findings: Findings, environ: Mapping[str, str]) -> None:
    """Variables that nobody reads because of a slip in their name."""
    known = _known_names()
    for name in sorted(environ):
        if name in known:
            continue
        if name.startswith((PREFIX, *_MISREMEMBERED)):
            findings.wrong(f"nobody reads the variable {name}", _own_name(name))
        elif name.upper().startswith("OTEL_") and (meant := _meant(name, known)) is not None:
            findings.wrong(f"nobody reads the variable {name}", f"Write {meant}")


def nearest(value: str, known: Iterable[str]) -> str | None:
    """The known value that is most like this one, if one is."""
    plain = {name.replace("_", ""): name for name in known}
    near = difflib.get_close_matches(value.lower().replace("_", ""), plain, n=1)
    return plain[near[0]] if near else None


def _known_names() -> frozenset[str]:
    modules: list[Any] = [import_module(module) for module in _MODULES]
    names = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, str) and value.startswith("OTEL_")
    }
    return frozenset({*names, *_ELSEWHERE, *VARIABLES})


def _own_name(name: str) -> str:
    option = name
    for prefix in (PREFIX, *_MISREMEMBERED):
        option = option.removeprefix(prefix)
    known = list(VARIABLES)
    near = difflib.get_close_matches(option, [k.removeprefix(PREFIX) for k in known], n=1)
    return f"Write {PREFIX}{near[0]}" if near else f"Known are {', '.join(known)}"


def _meant(name: str, known: frozenset[str]) -> str | None:
    upper = name.upper()
    if upper in known:
        return upper
    near = difflib.get_close_matches(upper, known, n=1, cutoff=_SAME)
    if near:
        return near[0]
    # A word left out: OTEL_EXPORTER_ENDPOINT.
    words = upper.split("_")
    longer = [k for k in known if len(words) > 2 and _is_without_a_word(words, k.split("_"))]
    return min(longer, key=len, default=None)


def _is_without_a_word(words: list[str], longer: list[str]) -> bool:
    return len(longer) == len(words) + 1 and any(
        longer[:place] + longer[place + 1 :] == words for place in range(len(longer))
    )
