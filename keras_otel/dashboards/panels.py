"""Build the panels of the Grafana dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = Builder[models.Panel]

DATA_SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

SHARE: Final = "percentunit"
SECONDS: Final = "s"
PER_SECOND: Final = "cps"
COUNT: Final = "short"

_LETTERS: Final = "ABCDEFGH"  # how Grafana names the queries of a panel
_HEIGHT: Final = 8
_WIDTH: Final = 12  # of 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression of a panel, and the legend of its series, such as `{{keras_model_version}}`."""

    expression: str
    legend: str
    has_exemplars: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The title of a panel, and the description that its `i` shows."""

    title: str
    description: str


def lines(text: Text, queries: Sequence[Query], unit: str, *, stacked: bool = False) -> Panel:
    """Build a panel of lines over time; shares range from 0 to 1."""
    panel = (
        timeseries.Panel()
        .title(text.title)
        .description(text.description)
        .datasource(DATA_SOURCE)
        .unit(unit)
        .min(0)
        .height(_HEIGHT)
        .span(_WIDTH)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.RIGHT)
            .calcs(["mean", "lastNotNull"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    if unit == SHARE:
        panel = panel.axis_soft_max(1)
    if stacked:
        panel = panel.fill_opacity(40).stacking(
            common.StackingConfig().mode(common_models.StackingMode.NORMAL)
        )
    for letter, query in zip(_LETTERS, queries, strict=False):
        panel = panel.with_target(_over_time(query).ref_id(letter))
    return panel


def number(text: Text, query: Query, unit: str) -> Panel:
    """Build a panel of one number for the whole time range."""
    return (
        stat.Panel()
        .title(text.title)
        .description(text.description)
        .datasource(DATA_SOURCE)
        .unit(unit)
        .no_value("none")
        .height(4)
        .span(6)
        .with_target(_now(query).ref_id("A"))
    )


def bars(text: Text, query: Query, along: str, unit: str) -> Panel:
    """Build a panel with a bar for each value of the label `along`, in its order."""
    return (
        barchart.Panel()
        .title(text.title)
        .description(text.description)
        .datasource(DATA_SOURCE)
        .unit(unit)
        .min(0)
        .height(_HEIGHT)
        .span(_WIDTH)
        .x_field(along)
        .legend(common.VizLegendOptions().show_legend(False))
        .with_target(_now(query).ref_id("A"))
        .transformations([_sorted_by(along), _renamed({"Value": query.legend})])
    )


def heat_map(text: Text, query: Query, *, repeated_for: str) -> Panel:
    """Build panels of counts by bucket over time, one for each value of a variable."""
    return (
        heatmap.Panel()
        .title(text.title)
        .description(text.description)
        .datasource(DATA_SOURCE)
        .height(_HEIGHT)
        .span(_WIDTH)
        .repeat(repeated_for)
        .repeat_direction("h")
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_models.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .scale(heatmap_models.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(SHARE))
        .with_target(_over_time(query).format(PromQueryFormat.HEATMAP).ref_id("A"))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of numbers in a table.

    Attributes:
        title: The heading.
        expression: The expression of the numbers; all columns of a table have the same labels.
        unit: The unit.
    """

    title: str
    expression: str
    unit: str


def ranking(
    text: Text, columns: Sequence[Column], labels: Mapping[str, str], link: tuple[str, str]
) -> Panel:
    """Build a table with a row for each combination of labels, the highest number of the last column first.

    Args:
        text: Title and description.
        columns: The columns of numbers.
        labels: The labels to show, with their headings.
        link: Title and address of the link of each row.
    """
    title, url = link
    panel = (
        table.Panel()
        .title(text.title)
        .description(text.description)
        .datasource(DATA_SOURCE)
        .height(_HEIGHT)
        .span(24)
        .data_links([dashboard.DashboardLink(title).url(url).target_blank(True)])
    )
    headings = dict(labels)
    for letter, column in zip(_LETTERS, columns, strict=False):
        query = Query(expression=column.expression, legend=column.title)
        panel = panel.with_target(_now(query).ref_id(letter))
        panel = panel.override_by_name(
            column.title, [models.DynamicConfigValue(id_val="unit", value=column.unit)]
        )
        headings[f"Value #{letter}"] = column.title
    return panel.transformations(
        [
            models.DataTransformerConfig(id_val="merge", options={}),
            _renamed(headings),
            _sorted_by(columns[-1].title, descending=True),
        ]
    )


def _over_time(query: Query) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .expr(query.expression)
        .legend_format(query.legend)
        .exemplar(query.has_exemplars)
        .range()
    )


def _now(query: Query) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .expr(query.expression)
        .legend_format(query.legend)
        .format(PromQueryFormat.TABLE)
        .instant()
    )


def _sorted_by(field: str, *, descending: bool = False) -> models.DataTransformerConfig:
    options: dict[str, Any] = {"sort": [{"field": field, "desc": descending}]}
    return models.DataTransformerConfig(id_val="sortBy", options=options)


def _renamed(headings: Mapping[str, str]) -> models.DataTransformerConfig:
    """Rename fields to their headings, and leave out the time of the query."""
    options = {"excludeByName": {"Time": True}, "renameByName": dict(headings)}
    return models.DataTransformerConfig(id_val="organize", options=options)
