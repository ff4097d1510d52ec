"""One evaluation by one upstream model: a family of tests of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from keras_otel import semconv
from keras_otel.analysis.aggregation.cells import Cells
from keras_otel.analysis.result import EvalResult, Example
from keras_otel.analysis.slices.candidates import candidates, support_of
from keras_otel.analysis.slices.cohorts import cohorts, version_cells
from keras_otel.analysis.slices.comparison import MIN_CLUSTERS
from keras_otel.analysis.slices.direction import MOST_LISTED, Direction
from keras_otel.analysis.slices.examples import ExampleRequest
from keras_otel.analysis.slices.screening import ScreeningTests
from keras_otel.analysis.slices.settings import Settings
from keras_otel.analysis.slices.sums import Summing, Sums

DEFAULT_BY: Final = (semconv.PREDICTION_CLASS, semconv.MODEL_VERSION, semconv.CONFIDENCE_BIN)


class Family:
    """The slices of one evaluation by one upstream model.

    Args:
        eval_name: Name of the evaluation.
        model: Name of the upstream model.
        cells: The rows.
        settings: How to slice them.
        screening_tests: Tests of the features that were screened out: for slices that fail more often, and
            for those that fail less often.
    """

    def __init__(
        self,
        eval_name: str,
        model: str,
        cells: Cells,
        settings: Settings,
        screening_tests: tuple[ScreeningTests, ScreeningTests],
    ) -> None:
        self.eval_name = eval_name
        self.model = model
        self.cells = cells
        self.settings = settings
        summing = Summing(cells)
        self.total: Sums = summing.all
        slices = candidates(
            cells,
            summing,
            levels=range(1, settings.max_predicates + 1),
            support=support_of(float(summing.all.rows[0]), settings.min_support),
        )
        self.worse = Direction(slices, self.total, settings, screening_tests[0])
        self.better = (
            Direction(slices, self.total, settings, screening_tests[1], is_better=True)
            if settings.better
            else None
        )

    @property
    def tested(self) -> int:
        """Number of slices with a p value."""
        return self.worse.tested

    def example_request(self) -> ExampleRequest:
        """Return the slices to find example traces of."""
        slices = tuple(self.worse.predicates(index) for index in self.worse.listed)
        return ExampleRequest(eval_name=self.eval_name, model=self.model, slices=slices)

    def warnings(self) -> Iterator[str]:
        """Describe what is not tested, which directions reverse, and what is not listed."""
        where = f"in {self.eval_name} by upstream model {self.model}"
        clusters = int(self.total.clusters[0])
        if self.cells.clusters is not None and clusters < MIN_CLUSTERS:
            yield f"no slice is tested {where}: there are {clusters} clusters, and {MIN_CLUSTERS} are needed"
        for index in self.worse.findings:
            name = self._name(index)
            for adjusted in self.worse.confounding(index).adjustments:
                if adjusted.reverses:
                    yield (
                        f"Simpson's paradox: {name} fails more often than the rest {where}, but "
                        f"less often once {adjusted.attribute} is held fixed"
                    )
            if self.worse.is_reversed(index):
                ratio = self.worse.findings[index].ratio
                yield (
                    f"{name} fails less often than the rest {where}, but "
                    f"{ratio:.2g} times as often once the other findings are held fixed"
                )
        for index in self.worse.explained_single_predicates():
            for adjusted in self.worse.confounding(index).adjustments:
                if adjusted.reverses:
                    yield (
                        f"Simpson's paradox: {self._name(index)} fails more often than the rest {where}, but less "
                        f"often once {adjusted.attribute} is held fixed: it is not a finding"
                    )
        if self.settings.list_all and len(self.worse) > MOST_LISTED:
            yield f"{MOST_LISTED} of {len(self.worse):,} slices tested {where} are listed"

    def _name(self, index: int) -> str:
        """Name a slice in a sentence."""
        return " and ".join(f"{p.attribute} = {p.value}" for p in self.worse.predicates(index))

    def result(self, examples: Sequence[tuple[Example, ...]]) -> EvalResult:
        """Return the record of the family.

        Args:
            examples: The examples of each listed slice.
        """
        by = self.settings.by or DEFAULT_BY
        n, k = float(self.total.n[0]), float(self.total.k[0])
        return EvalResult(
            eval=self.eval_name,
            model=self.model,
            rows=self.cells.number(n),
            failed=self.cells.number(k),
            rate=k / n if n else 0.0,
            slices_tested=self.tested,
            cohorts=tuple(cohorts(self.cells, by)),
            slices=tuple(
                self.worse.slice(index, slice_examples)
                for index, slice_examples in zip(self.worse.listed, examples, strict=True)
            ),
            plot_cohorts=tuple(cohorts(self.cells, DEFAULT_BY)),
            version_cells=tuple(version_cells(self.cells)),
            better=()
            if self.better is None
            else tuple(self.better.slice(index, ()) for index in self.better.listed),
            cells=self.cells,
        )
