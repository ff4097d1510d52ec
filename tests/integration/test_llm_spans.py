"""The LLM spans that others make carry what was predicted, and keep all that is their own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chat_completions import ChatCompletions
from conftest import missing_part
from programs import Programs
from received import Event, Span, Telemetry, read_json_lines

from keras_otel import semconv as names

TRACEAI_PYTHON = Path(__file__).parents[2] / ".venv-traceai" / "bin" / "python"
CALLS = [f"{client} {reply}" for client in ("sync", "async") for reply in ("whole", "stream", "refused")]
UPSTREAM = {
    f"{names.UPSTREAM_PREFIX}intent.class": names.PREDICTION_CLASS,
    f"{names.UPSTREAM_PREFIX}intent.confidence": names.PREDICTION_CONFIDENCE,
    f"{names.UPSTREAM_PREFIX}intent.version": names.MODEL_VERSION,
}
