"""The state of the instrumentation, alike for a running process and for the trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keras_otel.diagnostics.findings import Findings


def check_counts(
    findings: Findings, failures: Mapping[str, int], dropped: Mapping[str, int]
) -> None:
    """Check that nothing failed inside keras_otel and that no inference was dropped.

    Args:
        findings: Where to add what is found.
        failures: The number of failures at each site.
        dropped: The number of inferences without a span, by reason.
    """
    findings.add_fact("dropped", "Dropped", _format_counts(dropped), dict(dropped))
    findings.add_fact("failures", "Failures", _format_counts(failures), dict(failures))
    if failures:
        findings.add_problem(
            f"keras_otel failed internally: {_format_counts(failures)} (predictions are not "
            "affected)",
            "Set the logger keras_otel to DEBUG and report the traceback",
        )
    if dropped:
        findings.add_problem(
            f"inferences without a span: {_format_counts(dropped)}",
            "More were waiting for the accelerator than the queue holds; call models in larger "
            "batches or with less concurrency",
        )


def group_by_owner(patched: Iterable[str]) -> str:
    """Return dotted names as `keras.Model: predict, fit; ...`, each owner once."""
    attributes: dict[str, list[str]] = {}
    for name in patched:
        owner, _, attribute = name.rpartition(".")
        short_owner = f"{owner.partition('.')[0]}.{owner.rpartition('.')[2]}"
        attributes.setdefault(short_owner, []).append(attribute)
    groups = [f"{owner}: {', '.join(names)}" for owner, names in attributes.items()]
    return "; ".join(groups) or "nothing"


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{site} {count}" for site, count in counts.items()) or "none"
