"""Checking what an evaluator reports; what cannot be recorded is left out with a log line."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from numbers import Real

from keras_otel import semconv
from keras_otel._unicode import message_of, name_of
from keras_otel.errors import FeedbackError
from keras_otel.feedback.log_once import log_once
from keras_otel.records import Evaluation

_PASS, _FAIL = "pass", "fail"


def checked_name(name: object) -> str:
    """Return the name of an evaluation.

    Raises:
        FeedbackError: It is no text, or empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise FeedbackError(
            f"an evaluation needs a name such as 'faithfulness', got {name!r:.60}: "
            "pass it as the first argument"
        )
    return name_of(name)


def checked_evaluation(
    name: str, *, score: object, passed: object, label: object, explanation: object, error: object
) -> Evaluation:
    """Return the evaluation, without the parts that cannot be recorded.

    An evaluator that failed has no verdict: with `error`, neither score nor label nor `passed` is
    kept.
    """
    checked_explanation = _checked_text(name, "explanation", explanation, message_of)
    if error is not None and error != "":
        return Evaluation(name=name, explanation=checked_explanation, error_type=_error_type(error))
    checked_passed = _checked_passed(name, passed)
    checked_label = _checked_text(name, "label", label, name_of)
    if checked_label is None and checked_passed is not None:
        checked_label = _PASS if checked_passed else _FAIL
    return Evaluation(
        name=name,
        score=_checked_score(name, score),
        passed=checked_passed,
        label=checked_label,
        explanation=checked_explanation,
    )


def _error_type(error: object) -> str:
    """Return `error.type` of an evaluator's failure: the exception's class, or the text given."""
    if isinstance(error, BaseException):
        return semconv.error_type(error)
    return name_of(error) if isinstance(error, str) else type(error).__name__


def _checked_score(name: str, score: object) -> float | None:
    if score is None:
        return None
    number = _python_scalar(score)
    if isinstance(number, (Real, Decimal)) and not isinstance(number, bool):
        try:
            as_float = float(number)
        except (OverflowError, ValueError):  # 10**400, Decimal("sNaN")
            as_float = math.nan
        if math.isfinite(as_float):
            return as_float
        problem = f"score {type(score).__name__} that is infinite or not a number"
    else:
        problem = f"score of type {type(score).__name__}"
    _log_left_out(name, problem, "pass a finite number")
    return None


def _checked_passed(name: str, passed: object) -> bool | None:
    if passed is None:
        return None
    value = _python_scalar(passed)
    if isinstance(value, bool):
        return value
    _log_left_out(name, f"passed of type {type(passed).__name__}", "pass True or False")
    return None


def _checked_text(
    name: str, argument: str, text: object, shorten: Callable[[str], str]
) -> str | None:
    if text is None or isinstance(text, str):
        return shorten(text) if text else None
    _log_left_out(name, f"{argument} of type {type(text).__name__}", "pass text")
    return None


def _python_scalar(value: object) -> object:
    """Return a numpy scalar or a tensor of rank 0 as Python's own number, others unchanged."""
    if isinstance(value, Real) or not hasattr(value, "item"):
        return value
    is_scalar = getattr(value, "ndim", None) == 0
    return value.item() if is_scalar else value


def _log_left_out(name: str, problem: str, fix: str) -> None:
    log_once(f"evaluation {name!r}: {problem} is left out, the rest is recorded: {fix}")
