"""The LLM spans that others make carry what was predicted, and keep all that is their own."""

from __future__ import annotations

import os
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
from received import Span, Telemetry, read_json_lines

from keras_otel import semconv as names

CALLS = [f"{client} {how}" for client in ("sync", "async") for how in ("whole", "stream", "refused")]
STAMPS = {
    names.upstream_key("intent", names.UPSTREAM_CLASS): names.PREDICTION_CLASS,
    names.upstream_key("intent", names.UPSTREAM_CONFIDENCE): names.PREDICTION_CONFIDENCE,
    names.upstream_key("intent", names.UPSTREAM_VERSION): names.MODEL_VERSION,
}

_OPENAI, _LANGCHAIN = ["LLM"], ["chain", "prompt", "LLM"]
_ERROR = 2
_TRACEAI_PYTHON = Path(__file__).parents[2] / ".venv-traceai" / "bin" / "python"
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrumentation:
    """Who makes the LLM spans.

    Attributes:
        app: The program of `apps/` that calls the client it instruments.
        instrumentor: `module:class`.
        scope: The scope of its spans.
        spans: How many spans one call gives.
        key: An attribute that its LLM span must have.
        python: The interpreter that has it installed.
    """

    app: str
    instrumentor: str
    scope: str
    spans: int
    key: str
    python: str = sys.executable


INSTRUMENTATIONS = {
    "opentelemetry-openai-v2": Instrumentation(
        app="openai_client.py",
        instrumentor="opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor",
        scope="opentelemetry.util.genai.handler",
        spans=1,
        key="gen_ai.request.model",
    ),
    "openinference-openai": Instrumentation(
        app="openai_client.py",
        instrumentor="openinference.instrumentation.openai:OpenAIInstrumentor",
        scope="openinference.instrumentation.openai",
        spans=1,
        key="llm.system",
    ),
    "traceai-openai": Instrumentation(
        app="openai_client.py",
        instrumentor="traceai_openai:OpenAIInstrumentor",
        scope="traceai_openai",
        spans=1,
        key="gen_ai.provider.name",
        python=os.fspath(_TRACEAI_PYTHON),
    ),
    "openinference-langchain": Instrumentation(
        app="langchain_client.py",
        instrumentor="openinference.instrumentation.langchain:LangChainInstrumentor",
        scope="openinference.instrumentation.langchain",
        spans=3,
        key="openinference.span.kind",
    ),
}
