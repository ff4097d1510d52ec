"""Which spans and log records are about generative AI, and which of those use a prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from keras_otel import semconv as names

_PREFIXES: Final = ("gen_ai.", "llm.", "openinference.", "traceloop.", "fi.", "langfuse.")
"""Attribute names of the conventions that LLM instrumentations follow."""

# Their spans may start without any such attribute: traceAI and both LangChain instrumentations
# set all of theirs later.
_SCOPES: Final = (
    "autogen-core",
    "gcp.vertex.agent",
    "langfuse-sdk",
    "litellm",
    "logfire.anthropic",
    "logfire.claude_agent_sdk",
    "logfire.openai",
    "logfire.openai_agents",
    "openinference.instrumentation",
    "openlit.instrumentation",
    "opentelemetry.instrumentation.agno",
    "opentelemetry.instrumentation.alephalpha",
    "opentelemetry.instrumentation.anthropic",
    "opentelemetry.instrumentation.bedrock",
    "opentelemetry.instrumentation.botocore.bedrock-runtime",
    "opentelemetry.instrumentation.cohere",
    "opentelemetry.instrumentation.crewai",
    "opentelemetry.instrumentation.genai",
    "opentelemetry.instrumentation.google_genai",
    "opentelemetry.instrumentation.google_generativeai",
    "opentelemetry.instrumentation.groq",
    "opentelemetry.instrumentation.haystack",
    "opentelemetry.instrumentation.langchain",
    "opentelemetry.instrumentation.llamaindex",
    "opentelemetry.instrumentation.mistralai",
    "opentelemetry.instrumentation.ollama",
    "opentelemetry.instrumentation.openai",
    "opentelemetry.instrumentation.openai_agents",
    "opentelemetry.instrumentation.openai_v2",
    "opentelemetry.instrumentation.replicate",
    "opentelemetry.instrumentation.sagemaker",
    "opentelemetry.instrumentation.together",
    "opentelemetry.instrumentation.transformers",
    "opentelemetry.instrumentation.vertexai",
    "opentelemetry.instrumentation.voyageai",
    "opentelemetry.instrumentation.watsonx",
    "opentelemetry.instrumentation.writer",
    "opentelemetry.util.genai",
    "pydantic-ai",
    "semantic_kernel.connectors",
    "semantic_kernel.utils.telemetry",
    "strands.telemetry.tracer",
    "traceai",
    "traceloop.tracer",
)
"""Scopes of LLM instrumentations, as their sources name them; each stands for those below it too."""

_STORES: Final = (
    "traceai_chromadb",
    "traceai_lancedb",
    "traceai_milvus",
    "traceai_mongodb",
    "traceai_pgvector",
    "traceai_pinecone",
    "traceai_qdrant",
    "traceai_redis",
    "traceai_weaviate",
)
"""Scopes of vector stores among them."""

_LOOK_UPS: Final[Mapping[str, frozenset[str]]] = {
    names.GENAI_OPERATION: frozenset({"embeddings", "execute_tool", "retrieval"}),
    names.OPENINFERENCE_SPAN_KIND: frozenset({"EMBEDDING", "RERANKER", "RETRIEVER", "TOOL"}),
    names.FI_SPAN_KIND: frozenset({"EMBEDDING", "RERANKER", "RETRIEVER", "TOOL"}),
}
"""Kinds of spans on the way to an answer: they carry a prediction and leave it to be used."""


@lru_cache(maxsize=1024)
def is_genai_scope(name: str) -> bool:
    """True for the scope of a known LLM instrumentation, or one below it."""
    if name.startswith(_STORES):
        return False
    return any(
        name == scope or (name.startswith(scope) and name[len(scope)] in "._") for scope in _SCOPES
    )


def has_genai_name(keys: Iterable[str]) -> bool:
    """True if one of these attribute or event names is about generative AI."""
    for key in keys:  # noqa: SIM110 - any() takes twice as long, at every span that starts
        if key.startswith(_PREFIXES):
            return True
    return False


def is_look_up(attributes: Mapping[str, Any]) -> bool:
    """True for a span that looks something up for an answer, and gives none itself."""
    for key, kinds in _LOOK_UPS.items():  # noqa: SIM110 - as above
        if attributes.get(key) in kinds:
            return True
    return False
