"""Draw the plots of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from keras_otel import semconv
from keras_otel.analysis.reports import wording
from keras_otel.analysis.reports.plots.heat_map import heat_map_plot
from keras_otel.analysis.reports.plots.plot import Cells, Plot, largest, not_shown
from keras_otel.analysis.reports.plots.prediction_shares import SERIES, shares_plot
from keras_otel.analysis.reports.plots.rates import rates_plot
from keras_otel.analysis.reports.plots.version_comparison import version_comparison
from keras_otel.analysis.result import Cohort, EvalResult
from keras_otel.analysis.rows.fixed_bins import CONFIDENCE_BINS, DURATION_BINS

_MOST_VALUES: Final = 20
_MOST_VERSIONS: Final = 6


def plots(family: EvalResult, prefix: str) -> list[Plot]:
    """Draw all plots that the evaluation has data for.

    Args:
        family: The evaluation of a model's answers.
        prefix: Unique in the page; every id of the plots starts with it.
    """
    if not family.rows:
        return []
    return [
        *_rates(family, prefix),
        *_heat_map(family, prefix),
        *_spreads(family, prefix),
        *version_comparison(cross_tabulated(family, semconv.PREDICTION_CLASS), prefix),
    ]


def _rates(family: EvalResult, prefix: str) -> Iterator[Plot]:
    groups: dict[str, list[Cohort]] = {}
    drawn = {cohort.by for cohort in family.plot_cohorts}
    requested = [cohort for cohort in family.cohorts if cohort.by not in drawn]
    for cohort in (*family.plot_cohorts, *requested):
        groups.setdefault(cohort.by, []).append(cohort)
    for number, (by, cohorts) in enumerate(groups.items(), 1):
        shown = cohorts[:_MOST_VALUES]
        title = f"Failure rate by {wording.noun(by)}"
        yield Plot(
            title=title,
            detail="With 95 % intervals." + not_shown(len(cohorts), len(shown), "value"),
            svg=rates_plot(f"{prefix}-rates-{number}", title, shown, family.rate),
        )


def _heat_map(family: EvalResult, prefix: str) -> Iterator[Plot]:
    cells = cross_tabulated(family, semconv.PREDICTION_CLASS)
    classes, versions = largest(cells, 1), largest(cells, 0)
    if not classes or not versions:
        return
    rows, columns = classes[:_MOST_VALUES], sorted(versions[:_MOST_VERSIONS])
    hidden = not_shown(len(classes), len(rows), "class", "classes")
    hidden += not_shown(len(versions), len(columns), "version")
    yield Plot(
        title="Failure rate by class and version",
        detail="The higher the rate, the stronger the colour." + hidden,
        svg=heat_map_plot(
            f"{prefix}-heat",
            "Failure rate of each class (lines) under each version (columns)",
            [wording.value_text(semconv.PREDICTION_CLASS, row) for row in rows],
            [wording.value_text(semconv.MODEL_VERSION, column) for column in columns],
            [[cells.get((column, row), (0, 0)) for column in columns] for row in rows],
        ),
    )


def _spreads(family: EvalResult, prefix: str) -> Iterator[Plot]:
    for attribute, word, axis, known in (
        (
            semconv.CONFIDENCE_BIN,
            "Confidence",
            "Confidence (probability of the predicted class)",
            CONFIDENCE_BINS,
        ),
        (semconv.DURATION_BIN, "Latency", "Latency of the inference", DURATION_BINS),
    ):
        cells = {
            key: cell for key, cell in cross_tabulated(family, attribute).items() if key[1] in known
        }
        versions, bins = largest(cells, 0), _span(known, {value for _, value in cells})
        if not bins:
            continue
        shown = sorted(versions[: len(SERIES)])
        yield Plot(
            title=f"{word} by version",
            detail="Ranges are drawn equally wide."
            + not_shown(len(versions), len(shown), "version"),
            svg=shares_plot(
                f"{prefix}-{word.lower()}",
                f"Share of each version's rows in each range of {word.lower()}",
                [wording.value_text(attribute, bin_) for bin_ in bins],
                [
                    (
                        wording.value_text(semconv.MODEL_VERSION, version),
                        [cells.get((version, bin_), (0, 0))[0] for bin_ in bins],
                    )
                    for version in shown
                ],
                axis,
            ),
        )


def _span(bins: Sequence[str], present: set[str]) -> Sequence[str]:
    """Return the bins from the first to the last that has rows, with empty ones between them."""
    places = [place for place, bin_ in enumerate(bins) if bin_ in present]
    return bins[min(places) : max(places) + 1] if places else ()


def cross_tabulated(family: EvalResult, attribute: str) -> Cells:
    """Cross-tabulate versions and the values of an attribute."""
    return {
        (cell.version, cell.value): (cell.n, cell.failed)
        for cell in family.version_cells
        if cell.attribute == attribute
    }
