"""An evaluation as span attributes: in the GenAI conventions, OpenInference's and FutureAGI's."""

from __future__ import annotations

from typing import Final, Literal, get_args

from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel.errors import FeedbackError
from keras_otel.records import Evaluation

Convention = Literal["openinference", "futureagi"]
CONVENTIONS: Final[tuple[Convention, ...]] = get_args(Convention)


def checked_conventions(conventions: object) -> frozenset[Convention]:
    """Return the conventions that a caller named: one name, or a collection of names.

    Raises:
        FeedbackError: A name is unknown.
    """
    names = (conventions,) if isinstance(conventions, str) else conventions
    if isinstance(names, (tuple, list, set, frozenset)):
        known = frozenset(convention for convention in CONVENTIONS if convention in names)
        if len(known) == len(frozenset(map(str, names))):
            return known
    raise FeedbackError(
        f"conventions must be one or more of {', '.join(map(repr, CONVENTIONS))}, "
        f"got {conventions!r:.60}"
    )


def evaluation_attributes(evaluation: Evaluation) -> dict[str, AttributeValue]:
    """Return the evaluation in the GenAI conventions, with the attributes that they lack."""
    return _without_none(
        {
            **_genai_attributes(evaluation),
            semconv.EVALUATION_PASSED: evaluation.passed,
            semconv.ERROR_TYPE: evaluation.error_type,
        }
    )


def openinference_attributes(evaluation: Evaluation, index: int) -> dict[str, AttributeValue]:
    """Return OpenInference's `evaluations.<index>.evaluation.*`, for the evaluated span.

    https://github.com/Arize-ai/openinference/blob/main/spec/annotations.md

    Args:
        evaluation: The evaluation.
        index: How many evaluations the span has already.

    Returns:
        The attributes; none where the evaluation has neither score nor label nor explanation, one
        of which OpenInference requires.
    """
    attributes = _without_none(_genai_attributes(evaluation))
    if attributes.keys() == {semconv.EVALUATION_NAME}:
        return {}
    return {
        semconv.openinference_evaluation_key(index, key): value for key, value in attributes.items()
    }


def futureagi_attributes(evaluation: Evaluation) -> dict[str, AttributeValue]:
    """Return FutureAGI's attributes: `gen_ai.evaluation.*`, and the score as `eval.<name>`.

    A span has room for one `gen_ai.evaluation.*`, the newest; `eval.<name>` stays for each name.
    """
    score_key = semconv.futureagi_score_key(evaluation.name)
    return _without_none({**_genai_attributes(evaluation), score_key: evaluation.score})


def _genai_attributes(evaluation: Evaluation) -> dict[str, AttributeValue | None]:
    return {
        semconv.EVALUATION_NAME: evaluation.name,
        semconv.EVALUATION_SCORE: evaluation.score,
        semconv.EVALUATION_LABEL: evaluation.label,
        semconv.EVALUATION_EXPLANATION: evaluation.explanation,
    }


def _without_none(attributes: dict[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    return {key: value for key, value in attributes.items() if value is not None}
