"""Build PromQL expressions for failure rates, confidence and its shift, and latency.

Every function returns one expression. `by` are the labels of its result; `where` selects series, written as in
PromQL without braces; `over` is a duration such as `1h`.
"""

from __future__ import annotations

from keras_otel.dashboards.series import (
    CONFIDENCE,
    DURATION,
    EVALUATIONS,
    FINGERPRINT,
    MODEL,
    PASSED,
    PREDICTIONS,
    SPAN_CALLS,
    VERSION,
)

By = tuple[str, ...]

SMIRNOV_COEFFICIENT = 1.95
"""Coefficient of the two-sample Kolmogorov-Smirnov test at 0.1 %: sqrt(-ln(0.001 / 2) / 2)."""


def evaluated(by: By, where: str, over: str) -> str:
    """Count the evaluations with a pass or fail verdict."""
    return _increase(EVALUATIONS, by, f'{PASSED}=~"true|false"', where, over=over)


def failed(by: By, where: str, over: str) -> str:
    """Count the failed evaluations; 0 instead of no series if none failed."""
    failures = _increase(EVALUATIONS, by, f'{PASSED}="false"', where, over=over)
    return f"({failures} or 0 * {evaluated(by, where, over)})"


def fail_rate(by: By, where: str, over: str) -> str:
    """Divide failed evaluations by all with a verdict."""
    return f"{failed(by, where, over)} / {evaluated(by, where, over)}"


def predictions(by: By, where: str, over: str) -> str:
    """Return the number of rows predicted per second."""
    return f"sum by ({', '.join(by)}) (rate({PREDICTIONS}{{{where}}}[{over}]))"


def prediction_share(by: By, within: By, where: str, over: str) -> str:
    """Return the share of each group of rows among those with the same labels `within`."""
    own = _increase(PREDICTIONS, by, where, over=over)
    return f"{own} / on ({', '.join(within)}) group_left () {_increase(PREDICTIONS, within, where, over=over)}"


def mean_confidence(by: By, where: str, over: str) -> str:
    """Return the mean probability of the predicted class."""
    labels = ", ".join(by)
    return (
        f"sum by ({labels}) (rate({CONFIDENCE}_sum{{{where}}}[{over}]))"
        f" / sum by ({labels}) (rate({CONFIDENCE}_count{{{where}}}[{over}]))"
    )


def confidence_buckets(where: str, over: str) -> str:
    """Count rows by bucket of confidence, for a heat map."""
    return f"sum by (le) (increase({CONFIDENCE}_bucket{{{where}}}[{over}]))"


def confidence_shift(where: str, over: str) -> str:
    """Return the distance of a version's confidences from those of the model's other versions, 0 to 1.

    It is the Kolmogorov-Smirnov distance, the largest difference of the two distribution functions, at the
    boundaries of the histogram. Binning never increases it.
    """
    own = _increase(f"{CONFIDENCE}_bucket", (MODEL, VERSION, "le"), where, over=over)
    all_ = _increase(f"{CONFIDENCE}_bucket", (MODEL, "le"), where, over=over)
    count, total = _confidences(where, over)
    rest = f"({all_} - on ({MODEL}, le) group_right () {own})"
    rest_count = f"({total} - on ({MODEL}) group_right () {count})"
    versions = f"on ({MODEL}, {VERSION}) group_left ()"
    return (
        f"max by ({MODEL}, {VERSION}) "
        f"(abs({own} / {versions} {count} - {rest} / {versions} ({rest_count} > 0)))"
    )


def confidence_shift_limit(where: str, over: str) -> str:
    """Return the distance that chance exceeds in one comparison of a thousand.

    It is Smirnov's limit c * sqrt(1 / n + 1 / m), for n rows of the version and m of the others.
    """
    count, total = _confidences(where, over)
    rest = f"({total} - on ({MODEL}) group_right () {count})"
    return f"{SMIRNOV_COEFFICIENT} * sqrt(1 / {count} + 1 / ({rest} > 0))"


def latency(quantile: float, by: By, where: str, over: str) -> str:
    """Return a quantile of the duration of calls, in seconds."""
    labels = ", ".join((*by, "le"))
    return (
        f"histogram_quantile({quantile:g}, "
        f"sum by ({labels}) (rate({DURATION}_bucket{{{where}}}[{over}])))"
    )


def calls(by: By, where: str, over: str) -> str:
    """Return the number of inferences per second."""
    return f"sum by ({', '.join(by)}) (rate({DURATION}_count{{{where}}}[{over}]))"


def completed(by: By, where: str, over: str) -> str:
    """Count the inferences."""
    return _increase(f"{DURATION}_count", by, where, over=over)


def fingerprints(over: str) -> str:
    """Count the different fingerprints under one version label, from the Collector's span metrics."""
    seen = _increase(SPAN_CALLS, (MODEL, VERSION, FINGERPRINT), f'{FINGERPRINT}!=""', over=over)
    return f"count by ({MODEL}, {VERSION}) ({seen} > 0)"


def _confidences(where: str, over: str) -> tuple[str, str]:
    """Count the rows of each version, and of all versions of a model."""
    series = f"{CONFIDENCE}_count"
    return (
        _increase(series, (MODEL, VERSION), where, over=over),
        _increase(series, (MODEL,), where, over=over),
    )


def _increase(series: str, by: By, *where: str, over: str) -> str:
    """Add up the increase of a counter."""
    selectors = ", ".join(filter(None, where))
    return f"sum by ({', '.join(by)}) (increase({series}{{{selectors}}}[{over}]))"
