"""Which upstream predictions do the failures of LLM answers come from?"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_otel.analysis.ready_rows import slice_failures

__all__ = ["slice_failures"]


def __getattr__(name: str) -> Any:
    # Its parts are imported by one another, through this package.
    if name == "slice_failures":
        from keras_otel.analysis.ready_rows import slice_failures

        return slice_failures
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
