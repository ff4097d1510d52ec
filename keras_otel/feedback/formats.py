"""One evaluation as attributes, in the conventions' form and in those of two backends."""

from __future__ import annotations

from typing import Final, Literal, get_args

from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel.errors import FeedbackError
from keras_otel.records import Evaluation

Form = Literal["openinference", "futureagi"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)


def checked_forms(also: object) -> frozenset[Form]:
    """The forms named by `also`: one name, or several.

    Raises:
        FeedbackError: A name is unknown.
    """
    named = (also,) if isinstance(also, str) else also
    if isinstance(named, (tuple, list, set, frozenset)):
        known = frozenset(form for form in FORMS if form in named)
        if len(known) == len(frozenset(map(str, named))):
            return known
    raise FeedbackError(f"also must be of {', '.join(map(repr, FORMS))}, got {also!r:.60}")


def evaluation_attributes(evaluation: Evaluation) -> dict[str, AttributeValue]:
    """The attributes of the GenAI conventions, and ours."""
    return _said(
        {
            **_conventions(evaluation),
            semconv.EVALUATION_PASSED: evaluation.passed,
            semconv.ERROR_TYPE: evaluation.error_type,
        }
    )


def openinference_attributes(evaluation: Evaluation, index: int) -> dict[str, AttributeValue]:
    """OpenInference's form, `evaluations.<index>.evaluation.*`, for the span it is about.

    Args:
        evaluation: The evaluation.
        index: How many evaluations the span has already.

    Returns:
        The attributes; none where the evaluation has neither score nor label nor explanation,
        which OpenInference asks for.
    """
    said = _said(_conventions(evaluation))
    if len(said) == 1:
        return {}
    return {semconv.openinference_evaluation_key(index, key): value for key, value in said.items()}


def futureagi_attributes(evaluation: Evaluation) -> dict[str, AttributeValue]:
    """FutureAGI's form: `gen_ai.evaluation.*`, and the score as `eval.<name>`.

    A span has room for one `gen_ai.evaluation.*`, the newest; `eval.<name>` stays for each name.
    """
    scored = semconv.futureagi_score_key(evaluation.name)
    return _said({**_conventions(evaluation), scored: evaluation.score})


def _conventions(evaluation: Evaluation) -> dict[str, AttributeValue | None]:
    return {
        semconv.EVALUATION_NAME: evaluation.name,
        semconv.EVALUATION_SCORE: evaluation.score,
        semconv.EVALUATION_LABEL: evaluation.label,
        semconv.EVALUATION_EXPLANATION: evaluation.explanation,
    }


def _said(attributes: dict[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    return {key: value for key, value in attributes.items() if value is not None}
