"""One function for each kind of panel. Each requires a title, a description, a unit and a link, as the linter does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models.dashboard import DashboardLink, Panel

from . import palette
from .palette import State
from .variables import source

SECOND = "1s"  # the scrape interval: no panel asks for less
POINTS = 3600  # an hour with a point a second; over longer ranges a step shows its worst second


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel; legend names its series, and refers to labels as {{label}}."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What every panel needs to describe itself; unit is one of Grafana's names."""

    title: str
    description: str
    unit: str
    links: Sequence[DashboardLink]
    series: Sequence[DashboardLink] = ()  # links of each series, which know its labels
    decimals: float | None = None


Steps = Sequence[tuple[float | None, str]]  # each colour from its value on; None: from the lowest on
NEUTRAL: Steps = ((None, palette.NONE),)
GOOD_IF_ZERO: Steps = ((None, palette.OK), (1, palette.FAILED))
GOOD_IF_SOME: Steps = ((None, palette.FAILED), (1, palette.OK))


def timeline(about: About, states: Sequence[State], *queries: Query) -> Panel:
    """Build coloured bars of states over time, a row a series, second by second."""
    options = statetimeline.Options(
        show_value=common.VisibilityMode.NEVER,
        row_height=0.85,
        merge_values=True,
        legend=_legend(),
        tooltip=_tooltip(),
        per_page=20,
    )
    custom = statetimeline.FieldConfig(fill_opacity=90, line_width=0, span_nulls=False)
    return _panel("state-timeline", about, options, custom, NEUTRAL, queries, states=states)


def graph(
    about: About,
    *queries: Query,
    steps: Steps = NEUTRAL,
    colors: Mapping[str, str] | None = None,
    logarithmic: bool = False,
    stepped: bool = False,
) -> Panel:
    """Build lines over time; colors apply to series whose names match their patterns."""
    scale = common.ScaleDistributionConfig(common.ScaleDistribution.LOG, log=10) if logarithmic else None
    custom = common.GraphFieldConfig(
        draw_style=common.GraphDrawStyle.LINE,
        line_interpolation=common.LineInterpolation.STEP_AFTER if stepped else common.LineInterpolation.LINEAR,
        line_width=1,
        fill_opacity=0 if logarithmic else 8,
        show_points=common.VisibilityMode.NEVER,
        span_nulls=False,
        scale_distribution=scale,
        thresholds_style=common.GraphThresholdsStyleConfig(
            common.GraphThresholdsStyleMode.DASHED if len(steps) > 1 else common.GraphThresholdsStyleMode.OFF
        ),
    )
    options = timeseries.Options(legend=_legend(), tooltip=_tooltip())
    panel = _panel("timeseries", about, options, custom, steps, queries, overrides=_colored(colors or {}))
    _defaults(panel).color = dashboard.FieldColor(dashboard.FieldColorModeId.FIXED, fixed_color=palette.NONE)
    if not logarithmic:
        _defaults(panel).min_val = 0
    return panel


def heat(about: About, query: Query, color: str) -> Panel:
    """Build a histogram over time: the darker, the more."""
    options = heatmap.Options(
        calculate=False,
        color=heatmap.HeatmapColorOptions(
            mode=heatmap.HeatmapColorMode.OPACITY,
            fill=color,
            scale=heatmap.HeatmapColorScale.EXPONENTIAL,
            exponent=0.5,
            steps=64,
            scheme="",
        ),
        rows_frame=heatmap.RowsHeatmapOptions(layout=common.HeatmapCellLayout.LE),
        cell_gap=0,
        cell_values=heatmap.CellValues(unit="ops"),
        y_axis=heatmap.YAxisConfig(unit=about.unit, axis_placement=common.AxisPlacement.LEFT),
        legend=heatmap.HeatmapLegend(show=True),
        tooltip=heatmap.HeatmapTooltip(mode=common.TooltipDisplayMode.SINGLE, y_histogram=False, show_color_scale=True),
        show_value=common.VisibilityMode.NEVER,
        exemplars=heatmap.ExemplarConfig(palette.NONE),
        filter_values=heatmap.FilterValueRange(le=1e-9),
    )
    panel = _panel("heatmap", about, options, heatmap.FieldConfig(), NEUTRAL, [query])
    for target in panel.targets or []:
        assert isinstance(target, prometheus.Dataquery)
        target.format_val = prometheus.PromQueryFormat.HEATMAP
    return panel


def figure(about: About, *queries: Query, steps: Steps = NEUTRAL, states: Sequence[State] = ()) -> Panel:
    """Build one figure as it is at the end of the time range, in the colour of its judgement."""
    options = stat.Options(
        graph_mode=common.BigValueGraphMode.NONE,
        color_mode=common.BigValueColorMode.VALUE,
        justify_mode=common.BigValueJustifyMode.AUTO,
        text_mode=common.BigValueTextMode.VALUE if len(queries) == 1 else common.BigValueTextMode.VALUE_AND_NAME,
        reduce_options=_last(),
        orientation=common.VizOrientation.AUTO,
        percent_change_color_mode=common.PercentChangeColorMode.STANDARD,
    )
    return _instant(_panel("stat", about, options, None, steps, queries, states=states))


def bars(about: About, *queries: Query, steps: Steps = NEUTRAL) -> Panel:
    """Build one bar for each series, as it is at the end of the time range."""
    options = bargauge.Options(
        display_mode=common.BarGaugeDisplayMode.BASIC,
        value_mode=common.BarGaugeValueMode.COLOR,
        name_placement=common.BarGaugeNamePlacement.LEFT,
        show_unfilled=False,
        sizing=common.BarGaugeSizing.AUTO,
        legend=common.VizLegendOptions(common.LegendDisplayMode.HIDDEN, common.LegendPlacement.BOTTOM, False),
        reduce_options=_last(),
        orientation=common.VizOrientation.HORIZONTAL,
    )
    panel = _instant(_panel("bargauge", about, options, None, steps, queries))
    _defaults(panel).min_val = 0
    return panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: a label, or (expr) a figure of each row with its unit and judgement."""

    name: str
    expr: str = ""
    label: str = ""
    unit: str = "none"
    steps: Steps = NEUTRAL
    states: Sequence[State] = ()
    width: int | None = None
    links: Sequence[DashboardLink] = ()
    decimals: float | None = None


def rows(about: About, *columns: Column) -> Panel:
    """Build a table of the labels and figures of series, as they are at the end of the time range."""
    figures = [column for column in columns if column.expr]
    queries = [Query(column.expr) for column in figures]
    options = table.Options(cell_height=common.TableCellHeight.SM, show_header=True)
    custom = common.TableFieldOptions(align=common.FieldTextAlignment.AUTO, inspect=False)
    panel = _instant(_panel("table", about, options, custom, NEUTRAL, queries))
    for target in panel.targets or []:
        assert isinstance(target, prometheus.Dataquery)
        target.format_val = prometheus.PromQueryFormat.TABLE
    fields = {column.label: column.name for column in columns if column.label}
    fields |= {_value_of(number, len(figures)): column.name for number, column in enumerate(figures)}
    order = {field: list(columns).index(_named(columns, name)) for field, name in fields.items()}
    panel.transformations = [
        dashboard.DataTransformerConfig(id_val="merge", options={}),
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": fields},
        ),
    ]
    assert panel.field_config
    panel.field_config.overrides = [_of_column(column) for column in columns]
    return panel


def _named(columns: Sequence[Column], name: str) -> Column:
    return next(column for column in columns if column.name == name)


def _value_of(number: int, count: int) -> str:
    """Return the name that Grafana gives the values of a table's query."""
    return "Value" if count == 1 else f"Value #{_ref(number)}"


def _of_column(column: Column) -> dashboard.DashboardFieldConfigSourceOverrides:
    properties: list[tuple[str, object]] = [
        ("unit", column.unit),
        ("thresholds", _thresholds(column.steps)),
        ("mappings", _mappings(column.states)),
    ]
    if column.decimals is not None:
        properties.append(("decimals", column.decimals))
    if column.expr:
        properties.append(("custom.cellOptions", {"type": "color-text"}))
        properties.append(("color", dashboard.FieldColor(dashboard.FieldColorModeId.THRESHOLDS)))
    if column.width:
        properties.append(("custom.width", column.width))
    if column.links:
        properties.append(("links", list(column.links)))
    return dashboard.DashboardFieldConfigSourceOverrides(
        matcher=dashboard.MatcherConfig(id_val="byName", options=column.name),
        properties=[dashboard.DynamicConfigValue(name, value) for name, value in properties],
    )


def _panel(
    kind: str,
    about: About,
    options: object,
    custom: object | None,
    steps: Steps,
    queries: Sequence[Query],
    *,
    states: Sequence[State] = (),
    overrides: Sequence[dashboard.DashboardFieldConfigSourceOverrides] = (),
) -> Panel:
    defaults = dashboard.FieldConfig(
        unit=about.unit,
        decimals=about.decimals,
        thresholds=_thresholds(steps),
        mappings=_mappings(states),
        color=dashboard.FieldColor(dashboard.FieldColorModeId.THRESHOLDS),
        custom=custom,
        links=list(about.series) or None,
        no_value="-",
    )
    return Panel(
        type_val=kind,
        title=about.title,
        description=about.description,
        links=list(about.links),
        datasource=source(),
        interval=SECOND,
        max_data_points=POINTS,
        targets=[_target(number, query) for number, query in enumerate(queries)],
        options=options,
        field_config=dashboard.FieldConfigSource(defaults=defaults, overrides=list(overrides)),
    )


def _ref(number: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number]


def _target(number: int, query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery(
        expr=query.expr,
        legend_format=query.legend or "__auto",
        ref_id=_ref(number),
        datasource=source(),
        editor_mode=prometheus.QueryEditorMode.CODE,
        format_val=prometheus.PromQueryFormat.TIME_SERIES,
        range_val=True,
        instant=False,
    )


def _instant(panel: Panel) -> Panel:
    for target in panel.targets or []:
        assert isinstance(target, prometheus.Dataquery)
        target.instant, target.range_val = True, False
    return panel


def _defaults(panel: Panel) -> dashboard.FieldConfig:
    assert panel.field_config
    assert panel.field_config.defaults
    return panel.field_config.defaults


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig(
        mode=dashboard.ThresholdsMode.ABSOLUTE, steps=[dashboard.Threshold(value, color) for value, color in steps]
    )


def _mappings(states: Sequence[State]) -> list[dashboard.ValueMapping]:
    if not states:
        return []
    results = {
        str(state.value): dashboard.ValueMappingResult(text=state.text, color=state.color, index=index)
        for index, state in enumerate(states)
    }
    return [dashboard.ValueMap(options=results)]


def _colored(colors: Mapping[str, str]) -> list[dashboard.DashboardFieldConfigSourceOverrides]:
    return [
        dashboard.DashboardFieldConfigSourceOverrides(
            matcher=dashboard.MatcherConfig(id_val="byRegexp", options=f"/{pattern}/"),
            properties=[
                dashboard.DynamicConfigValue(
                    "color", dashboard.FieldColor(dashboard.FieldColorModeId.FIXED, fixed_color=color)
                )
            ],
        )
        for pattern, color in colors.items()
    ]


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions(values=False, calcs=["lastNotNull"], fields="")


def _legend() -> common.VizLegendOptions:
    return common.VizLegendOptions(
        display_mode=common.LegendDisplayMode.LIST, placement=common.LegendPlacement.BOTTOM, show_legend=True, calcs=[]
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.NONE)
