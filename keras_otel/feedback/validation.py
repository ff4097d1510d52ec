"""From what an evaluator says to an evaluation that can be recorded."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from numbers import Real

from keras_otel import semconv
from keras_otel._unicode import message_of, name_of
from keras_otel.errors import FeedbackError
from keras_otel.feedback.log_once import say_once
from keras_otel.records import Evaluation

_PASS, _FAIL = "pass", "fail"


def checked_name(name: object) -> str:
    """The name of an evaluation.

    Raises:
        FeedbackError: It is no text, or empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise FeedbackError(
            f"an evaluation needs a name such as 'faithfulness', got {name!r:.60}: "
            "pass it as the first argument"
        )
    return name_of(name)


def evaluation_of(
    name: str, *, score: object, passed: object, label: object, explanation: object, error: object
) -> Evaluation:
    """The evaluation that can be recorded; what cannot is left out with a line in the log.

    An evaluator that failed has given no verdict: with `error`, neither score nor label nor
    `passed` is kept.
    """
    why = _text(name, "explanation", explanation, message_of)
    if error is not None and error != "":
        return Evaluation(name=name, explanation=why, error_type=failure_type(error))
    is_passed = _truth(name, passed)
    word = _text(name, "label", label, name_of)
    if word is None and is_passed is not None:
        word = _PASS if is_passed else _FAIL
    return Evaluation(
        name=name,
        score=_number(name, score),
        passed=is_passed,
        label=word,
        explanation=why,
    )


def failure_type(error: object) -> str:
    """`error.type` of an evaluator's failure: the exception's class, or the text given."""
    if isinstance(error, BaseException):
        return semconv.error_type(error)
    return name_of(error) if isinstance(error, str) else type(error).__name__


def _number(name: str, score: object) -> float | None:
    if score is None:
        return None
    number = _plain(score)
    if isinstance(number, (Real, Decimal)) and not isinstance(number, bool):
        try:
            finite = float(number)
        except (OverflowError, ValueError):  # 10**400, Decimal("sNaN")
            finite = math.nan
        if math.isfinite(finite):
            return finite
        seen = f"score {type(score).__name__} that is infinite or not a number"
    else:
        seen = f"score of type {type(score).__name__}"
    _leave_out(name, seen, "pass a finite number")
    return None


def _truth(name: str, passed: object) -> bool | None:
    if passed is None:
        return None
    truth = _plain(passed)
    if isinstance(truth, bool):
        return truth
    _leave_out(name, f"passed of type {type(passed).__name__}", "pass True or False")
    return None


def _text(name: str, what: str, text: object, fit: Callable[[str], str]) -> str | None:
    if text is None or isinstance(text, str):
        return fit(text) if text else None
    _leave_out(name, f"{what} of type {type(text).__name__}", "pass text")
    return None


def _plain(value: object) -> object:
    """A numpy scalar, or a tensor that holds one number, as Python's own."""
    if isinstance(value, Real) or not hasattr(value, "item"):
        return value
    is_single = getattr(value, "ndim", None) == 0
    return value.item() if is_single else value


def _leave_out(name: str, seen: str, mend: str) -> None:
    say_once(f"evaluation {name!r}: {seen} is left out, the rest is recorded: {mend}")
