"""What a context knows of the requests that its code is in.

A context that is copied keeps this as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

from keras_otel.propagation.branch_updates import News
from keras_otel.propagation.request_tree import Node, Slots

if TYPE_CHECKING:
    from keras_otel.propagation.task_flow import Flow

_MAX_ROOTS: Final = 8


class Known(NamedTuple):
    """What a context knows below one root span, as it was when the context was copied.

    Attributes:
        flow: The flow whose code ran in the context.
        number: That flow's number then.
        slots: Its predictions then.
        news: What it had waited for then.
        doubted: See `Flow.doubted`.
    """

    flow: Flow
    number: int
    slots: Slots
    news: Mapping[str, News]
    doubted: frozenset[str]


_current: Final[ContextVar[tuple[Known, ...]]] = ContextVar("keras_otel_flows", default=())
"""What the context knows below each root span, as requests may nest; newest last."""


def known_below(root: Node) -> Known | None:
    """Return what the running context knows below a root."""
    for known in reversed(_current.get()):
        if known.flow.root is root:
            return known if known.flow.epoch == root.epoch else None
    return None


def known_in(context: Context, root: Node) -> Known | None:
    """Return what another context knows below a root."""
    entries = context.get(_current, ())
    return next((known for known in reversed(entries) if known.flow.root is root), None)


def set_known(known: Known) -> None:
    """Let the running context know this, and what is copied from it."""
    root = known.flow.root
    others = [k for k in _current.get() if k.flow.root is not root and k.flow.root.is_open()]
    _current.set((*others[1 - _MAX_ROOTS :], known))
