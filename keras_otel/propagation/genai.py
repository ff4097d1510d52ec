"""Which spans and log records are about generative AI, and which of those use a prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal

from keras_otel import semconv

PREFIXES: Final = (
    "gen_ai.",
    "llm.",
    "openinference.",
    "traceloop.",
    "fi.",
    "langfuse.",
    "agentops.",
    "ai.model.",
    "ai.operationId",
    "ai.prompt",
    "ai.response.",
    "ai.usage.",
    "braintrust.",
    "langsmith.",
    "langtrace.",
    "lmnr.",
    "mlflow.",
    "opik.",
    "weave.",
)
"""Attribute names of the conventions that LLM instrumentations follow."""

_AMBIENT: Final = (
    "braintrust.parent",
    semconv.GENAI_AGENT,
    semconv.GENAI_CONVERSATION,
    "langfuse.environment",
    "langfuse.experiment.",
    "langfuse.internal.",
    "langfuse.release",
    "langfuse.trace.",
    "langfuse.version",
    "lmnr.association.",
    "lmnr.internal.",
    "lmnr.span.ids_path",
    "lmnr.span.instrumentation_source",
    "lmnr.span.language_version",
    "lmnr.span.parent_",
    "lmnr.span.path",
    "lmnr.span.sdk_version",
    "opik.parent_span_id",
    "opik.span_id",
    "opik.trace_id",
    "traceloop.association.",
    "traceloop.entity.path",
    "traceloop.workflow.name",
    "weave.eval.",
    "weave.parent_call.",
)
"""Those that the processors of these SDKs put on every span of a request, also a database's."""

# Their spans may start without any such attribute: traceAI and both LangChain instrumentations
# set all of theirs later.
_SCOPES: Final = (
    "agent_framework",
    "agentops",
    "autogen-core",
    "azure.ai.agents",
    "azure.ai.inference",
    "azure.ai.projects",
    "braintrust",
    "gcp.vertex.agent",
    "langfuse-sdk",
    "langsmith",
    "langtrace_python_sdk",
    "litellm",
    "llama_index",
    "llamaindex.opentelemetry.tracer",
    "lmnr",
    "logfire.anthropic",
    "logfire.claude_agent_sdk",
    "logfire.openai",
    "logfire.openai_agents",
    "mlflow",
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
    "weave",
)
"""Scopes of LLM instrumentations, as their sources name them; each stands for those below it too."""

_STORES: Final = (
    "langtrace_python_sdk.instrumentation.chroma",
    "langtrace_python_sdk.instrumentation.milvus",
    "langtrace_python_sdk.instrumentation.neo4j",
    "langtrace_python_sdk.instrumentation.pinecone",
    "langtrace_python_sdk.instrumentation.pymongo",
    "langtrace_python_sdk.instrumentation.qdrant",
    "langtrace_python_sdk.instrumentation.weaviate",
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

_KINDS: Final = frozenset({"embedding", "embeddings", "reranker", "retriever", "tool", "vector_db"})

_AROUND: Final = frozenset(
    {"agent", "chain", "invoke_agent", "invoke_workflow", "span", "task", "workflow"}
)
"""Kinds of spans around a whole turn, from the prediction to the answer."""

_LOOK_UPS: Final[Mapping[str, frozenset[str]]] = {
    semconv.GENAI_OPERATION: frozenset(
        {"embeddings", "execute_tool", "rerank", "retrieval", "vectordb", "vector_db_retrieve"}
    ),
    semconv.GENAI_SPAN_KIND: _KINDS,
    semconv.OPENINFERENCE_SPAN_KIND: _KINDS,
    semconv.FI_SPAN_KIND: _KINDS,
    "agentops.span.kind": _KINDS,
    "langfuse.observation.type": _KINDS,
    "langsmith.span.kind": _KINDS,
    "langtrace.service.type": frozenset({"vectordb"}),
    "llm.request.type": frozenset({"embedding", "rerank"}),
    "lmnr.span.type": _KINDS,
    "mlflow.spanType": _KINDS,
    "traceloop.span.kind": _KINDS,
}
"""Kinds of spans on the way to an answer: they carry a prediction and leave it to be used."""

_CONVENTIONAL: Final = "opentelemetry.instrumentation."

_PLAIN: Final = frozenset(
    [
        "aio_pika",
        "aiohttp_client",
        "aiohttp_server",
        "aiokafka",
        "aiopg",
        "asgi",
        "asyncclick",
        "asyncio",
        "asyncpg",
        "boto",
        "boto3sqs",
        "cassandra",
        "celery",
        "click",
        "confluent_kafka",
        "dbapi",
        "django",
        "elasticsearch",
        "falcon",
        "fastapi",
        "flask",
        "grpc",
        "httpx",
        "jinja2",
        "kafka",
        "logging",
        "mysql",
        "mysqlclient",
        "pika",
        "psycopg",
        "psycopg2",
        "pymemcache",
        "pymongo",
        "pymssql",
        "pymysql",
        "pyramid",
        "redis",
        "remoulade",
        "requests",
        "sqlalchemy",
        "sqlite3",
        "starlette",
        "threading",
        "tornado",
        "tortoiseorm",
        "urllib",
        "urllib3",
        "wsgi",
    ]
)
"""OpenTelemetry's own instrumentations of what is never an LLM."""


@lru_cache(maxsize=1024)
def is_genai_scope(name: str) -> bool:
    """Return True for the scope of a known LLM instrumentation, or one below it."""
    if name.startswith(_STORES):
        return False
    return any(
        name == scope or (name.startswith(scope) and name[len(scope)] in "._") for scope in _SCOPES
    )


@lru_cache(maxsize=1024)
def is_never_genai(name: str) -> bool:
    """Return True for the scope of an instrumentation whose spans are about something else."""
    if not name.startswith(_CONVENTIONAL):
        return False
    return name.removeprefix(_CONVENTIONAL).partition(".")[0] in _PLAIN


def has_genai_name(keys: Iterable[str]) -> bool:
    """Return True if one of these attribute or event names is about generative AI."""
    for key in keys:  # noqa: SIM110 - any() takes twice as long, at every span that starts
        if _is_genai_name(key):
            return True
    return False


@lru_cache(maxsize=4096)
def _is_genai_name(key: str) -> bool:
    return key.startswith(PREFIXES) and not key.startswith(_AMBIENT)


Role = Literal["unstated", "answer", "look-up", "around a turn"]
"""What a span about GenAI does with a prediction, as its attributes say.

* unstated: it does not say what kind it is, counts as an answer, and may still say otherwise;
* answer: it uses the prediction;
* look-up: it looks something up for an answer, and leaves the prediction to that;
* around a turn: it is the span of an agent, a chain or a workflow, inside of which a model may
  predict.
"""


def role_of(attributes: Mapping[str, Any]) -> Role:
    """Return what a span with these attributes does with a prediction."""
    role: Role = "unstated"
    for key, kind in attributes.items():
        look_ups = _LOOK_UPS.get(key)
        if look_ups is None:
            continue
        # MLflow keeps its values as JSON.
        name = kind.strip('"').lower() if isinstance(kind, str) else ""
        if name in _AROUND:
            return "around a turn"
        if name in look_ups:
            role = "look-up"
        elif role == "unstated":
            role = "answer"
    return role
