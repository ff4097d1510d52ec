"""The options of `instrument()`: argument over environment over default, checked once.

Every environment variable that keras_otel reads is named in this module.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from opentelemetry import _logs, metrics, trace

from keras_otel._secrets import redacted
from keras_otel.errors import OptionError

Propagate = Literal["genai", "all", "none"]
Record = Literal["auto", "background", "inline"]
PredictionHook = Callable[..., object]

ENVIRONMENT: Final[Mapping[str, str]] = {
    "export": "OTEL_PYTHON_KERAS_EXPORT",
    "propagate": "OTEL_PYTHON_KERAS_PROPAGATE",
    "on_prediction": "OTEL_PYTHON_KERAS_ON_PREDICTION",
    "max_rows": "OTEL_PYTHON_KERAS_MAX_ROWS",
    "metrics": "OTEL_PYTHON_KERAS_METRICS",
    "openinference": "OTEL_PYTHON_KERAS_OPENINFERENCE",
    "model_version": "OTEL_PYTHON_KERAS_MODEL_VERSION",
    "record": "OTEL_PYTHON_KERAS_RECORD",
}
"""Environment variable of each option that has one."""


ACCEPT_MODELS: Final = "OTEL_PYTHON_KERAS_ACCEPT_MODELS"
"""What the propagator takes from other services; it works without `instrument()` too."""

VARIABLES: Final = (*ENVIRONMENT.values(), ACCEPT_MODELS)
"""Every variable of ours."""


def accepted_models(environ: Mapping[str, str] | None = None) -> frozenset[str] | None:
    """The models whose predictions other services may send, by name; None for all.

    Args:
        environ: The environment; the process's own by default.
    """
    text = (os.environ if environ is None else environ).get(ACCEPT_MODELS, "").strip()
    if not text or text.lower() == "all":
        return None
    if text.lower() == "none":
        return frozenset()
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def export_timeouts(signal: str) -> tuple[str, str]:
    """OpenTelemetry's own variables for the time that an export may take."""
    return f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"


EXPORT_SCHEMES: Final = ("http", "https", "grpc", "grpcs", "file")

# OpenTelemetry counts attributes per span (128 by default), not elements per array; this bound
# keeps one span under the 4 MiB at which gRPC receivers refuse a message.
_MAX_ROWS_LIMIT: Final = 10_000

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `instrument()` was asked for.

    Attributes:
        tracer_provider: Where spans go; None means the process's own provider.
        meter_provider: Where metrics go; None means the process's own provider.
        logger_provider: Where log events go; None means the process's own provider.
        export: `http(s)://`, `grpc(s)://` or `file:` target for an SDK that keras_otel sets up
            where no provider is set yet.
        propagate: Which later spans of a request carry the prediction.
        on_prediction: Called with (span, inference) before the span ends, in the background where
            `record` says so; a callable or the text `module:function`.
        max_rows: Batches up to this many rows are recorded row by row, larger ones as a summary.
        metrics: Whether to record metrics.
        openinference: Whether to add OpenInference's span kind, for Phoenix.
        model_version: Version label for all models, or by model name.
        record: When an inference becomes a span: `inline` before the call returns, `background`
            a few milliseconds later in a thread, or as soon as a later span needs it; `auto` is
            `inline` where spans are exported at once (`SimpleSpanProcessor`), else `background`.
    """

    tracer_provider: trace.TracerProvider | None = None
    meter_provider: metrics.MeterProvider | None = None
    logger_provider: _logs.LoggerProvider | None = None
    export: str | None = None
    propagate: Propagate = "genai"
    on_prediction: PredictionHook | None = None
    max_rows: int = 32
    metrics: bool = True
    openinference: bool = False
    model_version: str | Mapping[str, str] | None = field(default=None, hash=False)
    record: Record = "auto"

    def version_of(self, model_name: str) -> str | None:
        """The version label that the options give to the model of this name, if any."""
        if isinstance(self.model_version, Mapping):
            return self.model_version.get(model_name)
        return self.model_version


_in_force: list[Options] = []


def in_force() -> Options | None:
    """Return the options of the instrumented process, or None where it is not instrumented."""
    return _in_force[0] if _in_force else None


def put_in_force(options: Options | None) -> None:
    """Make these the options of the process, or none at all."""
    _in_force[:] = [] if options is None else [options]


def resolve(arguments: Mapping[str, object], environ: Mapping[str, str] | None = None) -> Options:
    """Merge arguments, environment and defaults.

    Args:
        arguments: What the caller passed; a value of None counts as not passed.
        environ: The environment; the process's own by default.

    Raises:
        OptionError: An option is unknown or has a bad value; the message says which, where it
            came from, and how to mend it.
    """
    environ = os.environ if environ is None else environ
    known = [f.name for f in fields(Options)]
    for name in arguments:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(known)})"
            raise OptionError(f"unknown option {name!r}{hint}")
    values: dict[str, Any] = {}
    for name in known:
        argument = arguments.get(name)
        if argument is not None:
            values[name] = _CHECKS[name](argument, f"option {name!r}")
            continue
        variable = ENVIRONMENT.get(name, "")
        text = environ.get(variable, "").strip()
        if text:
            values[name] = _CHECKS[name](_FROM_TEXT.get(name, str)(text), variable)
    return Options(**values)


def _provider(*methods: str) -> Callable[[object, str], object]:
    def check(value: object, source: str) -> object:
        if not all(callable(getattr(value, method, None)) for method in methods):
            raise OptionError(
                f"{source} must be an OpenTelemetry provider with {methods[0]}(), "
                f"got {type(value).__name__}"
            )
        return value

    return check


def _export(value: object, source: str) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise OptionError(f"{source} must be text, got {type(value).__name__}")
    text = os.fsdecode(value)
    try:
        parts = urlsplit(text)
    except ValueError:  # an IPv6 host without its closing bracket
        parts = urlsplit("")
    if parts.scheme == "file" and text.removeprefix("file:").strip("/"):
        return text
    try:
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if parts.scheme in EXPORT_SCHEMES and parts.scheme != "file" and has_host:
        if parts.query or parts.fragment:
            raise OptionError(
                f"{source} has a query string, and the exporter's path would land in it: "
                "write the address without it; keys go into OTEL_EXPORTER_OTLP_HEADERS"
            )
        return text
    raise OptionError(
        f"{source} cannot be {redacted(text)!r}: write http://host:4318, grpc://host:4317 "
        "or file:traces.jsonl"
    )


def _propagate(value: object, source: str) -> str:
    if value not in get_args(Propagate):
        raise OptionError(f"{source} must be one of 'genai', 'all', 'none', got {value!r}")
    return str(value)


def _record(value: object, source: str) -> str:
    if value not in get_args(Record):
        raise OptionError(f"{source} must be one of 'auto', 'background', 'inline', got {value!r}")
    return str(value)


def _hook(value: object, source: str) -> PredictionHook:
    if callable(value):
        return value
    if not isinstance(value, str):
        raise OptionError(
            f"{source} must be callable or 'module:function', got {type(value).__name__}"
        )
    module, _, name = value.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise OptionError(
            f"{source} {value!r} cannot be loaded: {error}; write 'module:function'"
        ) from error
    if not callable(function):
        raise OptionError(f"{source} {value!r} is not callable")
    return function  # type: ignore[no-any-return]  # getattr of a module is Any


def _max_rows(value: object, source: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_ROWS_LIMIT:
        raise OptionError(
            f"{source} must be a whole number from 1 to {_MAX_ROWS_LIMIT}, got {value!r}"
        )
    return value


def _flag(value: object, source: str) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"{source} must be true or false, got {value!r}")
    return value


def _model_version(value: object, source: str) -> str | Mapping[str, str]:
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, Mapping) and all(
        isinstance(k, str) and isinstance(v, str) and v for k, v in value.items()
    ):
        return dict(value)
    raise OptionError(
        f"{source} must be a label such as '2026-11-01' or a mapping of model name to label, "
        f"got {value!r}"
    )


def _int_from_text(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        return text


def _flag_from_text(text: str) -> object:
    lowered = text.lower()
    return True if lowered in _TRUE else False if lowered in _FALSE else text


def _versions_from_text(text: str) -> object:
    if "=" not in text:
        return text
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): label.strip() for name, _, label in pairs}


_CHECKS: Final[Mapping[str, Callable[[Any, str], object]]] = {
    "tracer_provider": _provider("get_tracer"),
    "meter_provider": _provider("get_meter"),
    "logger_provider": _provider("get_logger"),
    "export": _export,
    "propagate": _propagate,
    "on_prediction": _hook,
    "max_rows": _max_rows,
    "metrics": _flag,
    "openinference": _flag,
    "model_version": _model_version,
    "record": _record,
}

_FROM_TEXT: Final[Mapping[str, Callable[[str], object]]] = {
    "max_rows": _int_from_text,
    "metrics": _flag_from_text,
    "openinference": _flag_from_text,
    "model_version": _versions_from_text,
}
