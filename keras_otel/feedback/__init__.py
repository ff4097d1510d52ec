"""Recording evaluations of LLM answers and true outcomes of predictions."""

from keras_otel.feedback.evaluations import record_evaluation
from keras_otel.feedback.formats import futureagi_attributes, openinference_attributes
from keras_otel.feedback.outcomes import record_outcome

__all__ = [
    "futureagi_attributes",
    "openinference_attributes",
    "record_evaluation",
    "record_outcome",
]
