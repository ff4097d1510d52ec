"""The loss that a model was compiled with: what it says of one output.

A loss that is given alone speaks for a single output; for which of several it would speak is not
known.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

MULTICLASS: Final = frozenset(
    {
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "categorical_focal_crossentropy",
    }
)
BINARY: Final = frozenset({"binary_crossentropy", "binary_focal_crossentropy"})
MULTICLASS_HINGE: Final = frozenset({"categorical_hinge"})
BINARY_HINGE: Final = frozenset({"hinge", "squared_hinge"})
REGRESSION: Final = frozenset(
    {
        "mean_squared_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "huber",
        "huber_loss",
        "log_cosh",
        "logcosh",
        "mse",
        "mae",
        "mape",
        "msle",
    }
)
_KNOWN: Final = MULTICLASS | BINARY | MULTICLASS_HINGE | BINARY_HINGE | REGRESSION


class Loss(NamedTuple):
    """Name of a loss, None where there is none, and whether it takes logits."""

    name: str | None
    takes_logits: bool = False


NO_LOSS: Final = Loss(None)


def loss_of(model: Any, name: str | None, index: int, count: int) -> Loss:
    """The loss compiled for one output.

    Args:
        model: A Keras model.
        name: The output's name; None where there is only one.
        index: Its place among the outputs, -1 where that is not known.
        count: Number of outputs.
    """
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict):
        if name is None and len(loss) == 1:
            return _read(next(iter(loss.values())))
        return _read(loss.get(name))
    if isinstance(loss, (list, tuple)):
        return _read(loss[index]) if 0 <= index < len(loss) == count else NO_LOSS
    return _read(loss) if count == 1 else NO_LOSS


def _read(loss: Any) -> Loss:
    if loss is None:
        return NO_LOSS
    if isinstance(loss, str):
        return Loss(_snake(loss))
    name = getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__)
    class_name = _snake(type(loss).__name__)
    return Loss(class_name if class_name in _KNOWN else _snake(str(name)), _takes_logits(loss))


def _takes_logits(loss: Any) -> bool:
    try:
        config = loss.get_config()
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False
    arguments = config.get("fn_kwargs") or {}
    return bool(config.get("from_logits", arguments.get("from_logits", False)))


def _snake(name: str) -> str:
    """`MeanSquaredError` and `mean_squared_error` both as `mean_squared_error`."""
    return "".join(
        f"_{c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c.lower()
        for i, c in enumerate(name)
    )
