"""LLM spans in programs of real frameworks carry the prediction that they follow, and no other.

Each LLM call names in its model's name the intent that it answers, so that a span says itself which
class is right. A request has a turn for each label unless its name says that there is one in each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from answers import Answers, answers_in, answers_of, own, requests_in, without
from conftest import Program
from received import Telemetry

LANGCHAIN = "openinference.instrumentation.langchain:LangChainInstrumentor"
OPENAI = "openinference.instrumentation.openai:OpenAIInstrumentor"

CLIENT = {
    "a turn a request": own(),
    "turns": own(),
    "streams": own(),
    "async turns": own(),
    "async streams": own(),
    "to_thread": own(),
    "gathered": own(2),
    "requests in tasks": own(4),
}
GRAPHS = {
    "invoke, a turn a request": own(),
    "invoke": own(),
    "stream": own(),
    "stream messages": own(),
    "conditional edges": own(),
    "checkpointer": own(),
    "loop": own(),
    "branches": own(2),
    "branches with graphs": own(2),
    "batch": own(2),
    "requests in threads": own(4),
    "tool": without() + own(),
    "ainvoke": own(),
    "ainvoke nodes that are not async": own(),
    "astream": own(),
    "astream messages": own(),
    "astream events": own(),
    "to_thread": own(),
    "async conditional edges": own(),
    "async loop": own(),
    "async branches": own(2),
    "async branches, to_thread": own(2),
    "async branches with graphs": own(2),
    "abatch": own(2),
    "gathered graphs": own(2),
    "requests in tasks": own(4),
    "async tool": without() + own(),
}
# A batch is classified as a whole before any of it is answered, by whoever is free: which
# prediction an answer follows is not known.
CHAINS = {
    "invoke, a turn a request": own(),
    "invoke": own(),
    "stream": own(),
    "chosen invoke": own(),
    "chosen stream": own(),
    "assigned invoke": own(),
    "assigned stream": own(),
    "steps": own(),
    "no chain": own(),
    "parallel invoke": own(),
    "parallel stream": own(),
    "batch": without(2),
    "batch, one at a time": without(2),
    "requests in threads": own(4),
    "ainvoke": own(),
    "astream": own(),
    "astream events": own(),
    "chosen ainvoke": own(),
    "assigned ainvoke": own(),
    "assigned astream": own(),
    "to_thread": own(),
    "to_thread astream": own(),
    "to_thread and no chain": own(),
    "parallel ainvoke": own(),
    "parallel astream": own(),
    "abatch": without(2),
    "to_thread abatch": without(2),
    "gathered": own(2),
    "requests in tasks": own(4),
}
LOGFIRE = {
    **CLIENT,
    # What it writes down at the end of a stream is another span.
    "streams": own(2),
    "async streams": own(2),
}
LANGFUSE = {
    **CLIENT,
    "observed turns": own(),
    "observed steps": own(),
    "observed generations": own(),
    "own generations": own(),
    # Its callbacks and its client each make a span.
    "chains": own(2),
    "chains side by side": without(4),
}
PYDANTIC_AI = {
    # The span of the agent and that of its model.
    "run_sync": own(2),
    "run": own(2),
    "run responses": own(2),
    "run_stream": own(2),
    "iter": own(2),
    "to_thread": own(2),
    "gathered": own(4),
    "requests in tasks": own(8),
    "tool": without(2) + own(),
}
OPENAI_AGENTS = {
    "run": own(),
    "run responses": own(),
    "run_streamed": own(),
    "to_thread": own(),
    "run_streamed after to_thread": own(),
    "workflow": own(),
    "gathered": own(2),
    "requests in tasks": own(4),
    "tool": without() + own(),
}
# The callback of a stream that is not asynchronous runs in a thread that no context is handed to:
# its span is a trace of its own.
LITELLM = {**CLIENT, "streams": Answers()}
MLFLOW = {
    **CLIENT,
    "traced turns": own(),
    "traced steps": own(),
    "own spans": own(),
    "chains": own(),
    "chains side by side": without(2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A program and what its requests' LLM spans have to say.

    Attributes:
        program: The program.
        wanted: By request.
        times: LLM spans of each call, where more than one instrumentation makes them.
    """

    program: Program
    wanted: dict[str, Answers] = field(default_factory=lambda: CLIENT)
    times: int = 1


def _registered(provider: str, first: str, **options: str) -> Program:
    return Program(app="registered.py", arguments=(provider, first), **options)


TRIED = {
    "langgraph": Tried(
        program=Program(app="langgraph_graphs.py", arguments=(LANGCHAIN,)), wanted=GRAPHS
    ),
    "langgraph, openai": Tried(
        program=Program(app="langgraph_graphs.py", arguments=(OPENAI,)), wanted=GRAPHS
    ),
    "langchain, openai": Tried(
        program=Program(app="langchain_chains.py", arguments=(OPENAI,)), wanted=CHAINS
    ),
    "langchain, both": Tried(
        program=Program(app="langchain_chains.py", arguments=(LANGCHAIN, OPENAI)),
        wanted=CHAINS,
        times=2,
    ),
    "logfire": Tried(program=_registered("logfire", "provider"), wanted=LOGFIRE),
    "logfire second": Tried(program=_registered("logfire", "keras_otel"), wanted=LOGFIRE),
    "phoenix": Tried(program=_registered("phoenix", "provider")),
    "phoenix second": Tried(program=_registered("phoenix_batch", "keras_otel")),
    "arize": Tried(program=_registered("arize", "provider")),
    "traceai": Tried(program=_registered("traceai", "provider", environment=".venv-traceai")),
    "langfuse": Tried(
        program=Program(app="langfuse_traces.py", arguments=("langfuse",)), wanted=LANGFUSE
    ),
    "langfuse isolated": Tried(
        program=Program(app="langfuse_traces.py", arguments=("isolated",)), wanted=LANGFUSE
    ),
    "pydantic-ai": Tried(program=Program(app="pydantic_agents.py"), wanted=PYDANTIC_AI),
    "openai-agents": Tried(
        program=Program(app="openai_agents.py", arguments=("openinference",)), wanted=OPENAI_AGENTS
    ),
    "openai-agents, logfire": Tried(
        program=Program(app="openai_agents.py", arguments=("logfire",)), wanted=OPENAI_AGENTS
    ),
    "litellm": Tried(program=Program(app="litellm_calls.py"), wanted=LITELLM),
    "mlflow": Tried(program=Program(app="mlflow_autolog.py", arguments=("ours",)), wanted=MLFLOW),
    "mlflow isolated": Tried(
        program=Program(app="mlflow_autolog.py", arguments=("isolated",)), wanted=MLFLOW
    ),
}
Run = Callable[[Program], Telemetry]

_IN_A_POOL = "nothing shows that code in no task has waited for a step that it handed to a pool"
_RESUMED = "Logfire hands its spans on by a traceparent, which looks like another service's"
_NESTED = "Langfuse's callbacks nest the spans of a batch by chance"
_WRAPPED_POOL = "Logfire wraps the pool's submit: a job may be over before its task is seen waiting"
_BY_CHANCE = (_NESTED, _WRAPPED_POOL)
# Where a label is missing although right could be known.
MISSING = {
    ("langgraph", "stream messages"): _IN_A_POOL,
    ("langgraph, openai", "stream messages"): _IN_A_POOL,
    ("langgraph, openai", "astream messages"): _IN_A_POOL,
    ("logfire", "gathered"): _WRAPPED_POOL,
    ("logfire second", "gathered"): _WRAPPED_POOL,
    ("openai-agents, logfire", "gathered"): _WRAPPED_POOL,
    ("logfire", "streams"): _RESUMED,
    ("logfire", "async streams"): _RESUMED,
    ("logfire second", "streams"): _RESUMED,
    ("logfire second", "async streams"): _RESUMED,
}
# Where there is a label although right is not known.
WRONG = {
    ("langfuse", "chains side by side"): _NESTED,
    ("langfuse isolated", "chains side by side"): _NESTED,
}


def _marks(name: str, request: str) -> list[pytest.MarkDecorator]:
    reason = {**MISSING, **WRONG}.get((name, request))
    if reason is None:
        return []
    return [pytest.mark.xfail(reason=reason, strict=reason not in _BY_CHANCE)]


EVERY = [
    pytest.param(name, request, marks=_marks(name, request))
    for name, tried in TRIED.items()
    for request in tried.wanted
]


@pytest.mark.parametrize(("name", "request_name"), EVERY)
def test_llm_spans_carry_the_prediction_that_they_follow(
    run: Run, name: str, request_name: str
) -> None:
    """Every LLM span of a request says what was predicted for it, or what cannot be known nothing."""
    tried = TRIED[name]
    wanted = Answers(tried.wanted[request_name])
    for answer in wanted:
        wanted[answer] *= tried.times
    assert answers_in(run(tried.program), request_name) == wanted


@pytest.mark.parametrize("name", TRIED)
def test_no_llm_span_carries_another_class(run: Run, name: str) -> None:
    """In the whole program, no LLM span says anything but what it answers, whatever its request."""
    telemetry = run(TRIED[name].program)
    answers = answers_of(telemetry.spans)
    for program, request in WRONG:
        if program == name:
            answers -= answers_in(telemetry, request)
    assert [each for each in answers if each.carries not in (None, each.intent)] == []


@pytest.mark.parametrize("name", TRIED)
def test_every_request_of_a_program_is_judged(run: Run, name: str) -> None:
    """A program serves no request that these tests do not know."""
    assert requests_in(run(TRIED[name].program)) <= set(TRIED[name].wanted)
