"""A dashboard: its variables, its sections of panels, and the faults that are marked in all of them."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.models import dashboard, prometheus

from . import links, palette
from .grid import Section, place
from .variables import datasource, source

SCHEMA_VERSION = 39  # Grafana 10.4 and later read it, and newer ones convert it as they load it


def board(
    uid: str,
    description: str,
    sections: Sequence[Section],
    variables: Sequence[dashboard.VariableModel],
    faults_of: str,
    since: str = "now-15m",
) -> dashboard.Dashboard:
    """Build a dashboard of the last 15 minutes, refreshed every 5 seconds; faults_of selects the faults to mark."""
    return dashboard.Dashboard(
        uid=uid,
        title=f"caplab / {links.UIDS[uid]}",
        description=description,
        tags=[links.TAG],
        timezone="browser",
        editable=False,
        graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
        time=dashboard.DashboardDashboardTime(from_val=since, to="now"),
        timepicker=dashboard.TimePickerConfig(refresh_intervals=["1s", "5s", "10s", "30s", "1m"]),
        refresh="5s",
        schema_version=SCHEMA_VERSION,
        panels=place(sections),
        templating=dashboard.DashboardDashboardTemplating(list_val=[datasource(), *variables]),
        annotations=dashboard.AnnotationContainer(list_val=[_faults(faults_of)]),
        links=links.between_dashboards(),
    )


def _faults(selector: str) -> dashboard.AnnotationQuery:
    """Build the annotations of faults as regions: Grafana joins the seconds in which the gauge is 1."""
    expr = f"max by (kind, engine, cluster_namespace, cluster) (caplab_fault_active{{{selector}}})"
    target = prometheus.Dataquery(
        expr=expr,
        ref_id="faults",
        interval="1s",
        range_val=True,
        instant=False,
        datasource=source(),
        editor_mode=prometheus.QueryEditorMode.CODE,
        legend_format="{{kind}}",
    )
    return dashboard.AnnotationQuery(
        name="Faults",
        datasource=source(),
        enable=True,
        icon_color=palette.FAULT,
        expr=expr,
        step="1s",
        title_format="{{kind}}",
        text_format="{{kind}} of {{cluster_namespace}}/{{cluster}}",
        tag_keys="kind,engine",
        target=target,
    )
