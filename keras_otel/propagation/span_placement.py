"""The place of a span that starts in its request: below which span, and in which code."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import get_current_span

from keras_otel.propagation.flow_events import note_root, note_started
from keras_otel.propagation.flow_lookup import flow_below, running_main
from keras_otel.propagation.request_node import Node
from keras_otel.propagation.request_tree import tree
from keras_otel.propagation.task_flow import Flow


def add_node(span: Span, parent_context: Context | None) -> Node | None:
    """Add a span that starts to its request; None where it must not be looked at any further."""
    above = span.parent
    if above is None or above.is_remote:
        root = tree.add_started(span, None)
        if root is not None:  # else another processor of ours was faster
            note_root(root.request)
        return root
    parent = tree.node_with(above)
    if parent is not None:
        return tree.add_started(span, parent)
    if not _is_started_here(span, parent_context):
        tree.add_started(span, None)
        return None
    # Nobody saw the span above start: it is a root of its own.
    return tree.add_started(span, tree.node_for(get_current_span(parent_context)))


def note_code(node: Node, span: Span, parent_context: Context | None) -> tuple[bool, Flow | None]:
    """Note that the running code starts a span below another one.

    Returns:
        Whether the running code is the code that starts it, and its flow if that code started the
        request's root as well.
    """
    request = node.request
    main = None if request.flows is None else running_main(request)
    if main is None or not request.is_main_confirmed:
        if not _is_started_here(span, parent_context):
            return False, None
        request.is_main_confirmed = main is not None
    flow = main or flow_below(request)
    if flow is not None:
        note_started(flow)
    return True, main


def _is_started_here(span: Span, parent_context: Context | None) -> bool:
    """Return True in the code that starts a span below another one.

    Run in another thread, as by the SDK's concurrent processor, this knows nothing of that code:
    the span would carry what the wrong thread follows.
    """
    current = get_current_span(parent_context).get_span_context()
    return current is span.parent or (
        span.parent is not None and current.span_id == span.parent.span_id
    )
