"""A call that turned out to be an inference, and who its model was at that moment."""

from __future__ import annotations

from typing import NamedTuple

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.identity.identity import ledger, without_fingerprint
from keras_otel.inference.call import Call
from keras_otel.introspection.call_facts import CallFacts, call_facts
from keras_otel.introspection.registry import KnownModel, models
from keras_otel.options import Options
from keras_otel.records import ModelIdentity


class ObservedCall(NamedTuple):
    """A call that turned out to be an inference.

    Attributes:
        call: The call.
        known: Its model.
        facts: What the model's calls by this operation share, as they were at this one.
    """

    call: Call
    known: KnownModel
    facts: CallFacts


def observe(call: Call, options: Options) -> ObservedCall:
    """Find out who the model is now: it may be another one by the time the call is recorded."""
    known = models.of(call.subject)
    guarded(semconv.SITE_WATCH_THE_WEIGHTS, known.look, call.subject, call.adapter, call.written)
    facts = known.call_facts.get(call.operation)
    if facts is None or known.identity_generation != ledger.generation:
        facts = _new_facts(call, known, options)
    if known.fingerprint.changed_since(call.noted):
        # Which weights the call had is not known: no fingerprint rather than a wrong one.
        facts = _facts_of(call, without_fingerprint(facts.identity))
    guarded(semconv.SITE_LOOK_FOR_NAMESAKES, known.take_turn, facts.identity, call.start_ns)
    is_first = call.operation not in known.seen_operations
    if is_first:
        known.seen_operations.add(call.operation)
    if call.is_cold is None:
        call.is_cold = is_first
    return ObservedCall(call, known, facts)


def _new_facts(call: Call, known: KnownModel, options: Options) -> CallFacts:
    facts = _facts_of(call, known.identify(call.subject, call.adapter, options))
    if known.identity is not None:
        known.call_facts[call.operation] = facts
    return facts


def _facts_of(call: Call, identity: ModelIdentity) -> CallFacts:
    adapter = call.adapter
    return call_facts(
        operation=call.operation,
        identity=identity,
        model_class=type(call.subject).__name__,
        precision=guarded(semconv.SITE_PRECISION, adapter.precision, call.subject),
        runtime=(adapter.name, adapter.backend, adapter.version),
    )
