"""A provider's own `register` or `configure`, before or after `instrument`, and OpenAI's client.

The arguments are the model server, the receiver, the provider, and who comes first: `keras_otel` or
the provider.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import keras_otel

base_url, receiver, provider, first = sys.argv[1:]


def phoenix() -> Any:
    """Phoenix: `register` and OpenInference."""
    from openinference.instrumentation.openai import OpenAIInstrumentor
    from phoenix.otel import register

    tracers = register(endpoint=f"{receiver}/v1/traces", protocol="http/protobuf", verbose=False)
    OpenAIInstrumentor().instrument(tracer_provider=tracers)


def phoenix_batch() -> Any:
    """Phoenix, in batches."""
    from openinference.instrumentation.openai import OpenAIInstrumentor
    from phoenix.otel import register

    tracers = register(
        endpoint=f"{receiver}/v1/traces", protocol="http/protobuf", batch=True, verbose=False
    )
    OpenAIInstrumentor().instrument(tracer_provider=tracers)


def arize() -> Any:
    """Arize: `register` and OpenInference."""
    from arize.otel import Transport, register
    from openinference.instrumentation.openai import OpenAIInstrumentor

    tracers = register(
        endpoint=f"{receiver}/v1/traces",
        transport=Transport.HTTP,
        space_id="space",
        api_key="key",
        project_name="chat",
        log_to_console=True,  # with a single exporter it looks for what OpenTelemetry 1.45 renamed
        verbose=False,
    )
    OpenAIInstrumentor().instrument(tracer_provider=tracers)


def traceai() -> Any:
    """FutureAGI: `register` and its own instrumentation."""
    os.environ.update(FI_API_KEY="key", FI_SECRET_KEY="secret", FI_BASE_URL=receiver)
    from fi_instrumentation import register
    from fi_instrumentation.fi_types import ProjectType
    from traceai_openai import OpenAIInstrumentor

    tracers = register(
        project_type=ProjectType.OBSERVE,
        project_name="chat",
        batch=False,
        set_global_tracer_provider=True,
        verbose=False,
    )
    OpenAIInstrumentor().instrument(tracer_provider=tracers)


def logfire() -> Any:
    """Logfire: `configure` and its instrumentation of the client's class."""
    import logfire

    logfire.configure(
        token="token",
        send_to_logfire=True,  # below pytest it would not
        console=False,
        inspect_arguments=False,
        advanced=logfire.AdvancedOptions(base_url=receiver),
    )
    logfire.instrument_openai()


SET_UP = {each.__name__: each for each in (phoenix, phoenix_batch, arize, traceai, logfire)}
if first == "keras_otel":
    keras_otel.instrument()
    SET_UP[provider]()
else:
    SET_UP[provider]()
    keras_otel.instrument()

from openai import AsyncOpenAI, OpenAI  # noqa: E402 - instrumented first
from openai_clients import call_everything, client_of  # noqa: E402
from opentelemetry import trace  # noqa: E402

call_everything(client_of(OpenAI, AsyncOpenAI, base_url))
trace.get_tracer_provider().force_flush()
