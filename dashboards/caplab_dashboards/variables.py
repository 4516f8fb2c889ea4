"""The variables at the top of dashboards, which select what the panels show."""

from __future__ import annotations

from grafana_foundation_sdk.models import common, dashboard

DATASOURCE = "datasource"
ALL = ".*"


def source() -> common.DataSourceRef:
    """Return the Prometheus that is chosen at the top."""
    return common.DataSourceRef(type_val="prometheus", uid="${" + DATASOURCE + "}")


def datasource() -> dashboard.VariableModel:
    """Return the variable that chooses the Prometheus."""
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.DATASOURCE,
        name=DATASOURCE,
        label="Prometheus",
        description="Which Prometheus is asked.",
        query="prometheus",
        refresh=dashboard.VariableRefresh.ON_DASHBOARD_LOAD,
    )


def of_label(name: str, label: str, description: str, metric: str, *, multi: bool = False) -> dashboard.VariableModel:
    """Return a variable of the values that a label of a metric has in the time range; name is the label's own."""
    query = f"label_values({metric}, {name})"
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.QUERY,
        name=name,
        label=label,
        description=description,
        datasource=source(),
        query={"query": query, "refId": f"caplab-{name}"},
        definition=query,
        refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=dashboard.VariableSort.ALPHABETICAL_ASC,
        multi=multi,
        include_all=multi,
        all_value=ALL if multi else None,
        current=dashboard.VariableOption(text="All", value="$__all") if multi else None,
    )


def clusters(of: str, *, multi: bool = False) -> list[dashboard.VariableModel]:
    """Return namespace and name of a cluster under test; of is a metric with its engine, as 'NAME{engine="redis"}'."""
    name, _, matchers = of.rstrip("}").partition("{")
    within = ",".join(filter(None, (matchers, f'cluster_namespace{"=~" if multi else "="}"$cluster_namespace"')))
    namespace = of_label("cluster_namespace", "Namespace", "Where the cluster under test is.", of, multi=multi)
    cluster = of_label("cluster", "Cluster", "The cluster under test.", f"{name}{{{within}}}", multi=multi)
    return [namespace, cluster]


def vantage(selector: str) -> dashboard.VariableModel:
    """Return the variable of the zones whose probers are shown."""
    metric = f"caplab_operations_total{{{selector}}}"
    return of_label("vantage", "Vantage", "The zones whose clients are shown.", metric, multi=True)


def run() -> list[dashboard.VariableModel]:
    """Return the variables that select the row of the CAP table whose last run is shown."""
    metric = "caplab_run_started_timestamp_seconds"
    return [
        of_label("engine", "Run: engine", "What the run was about.", metric),
        of_label("experiment", "Experiment", "The run's experiment.", metric + '{engine="$engine"}'),
        of_label("mode", "Mode", "The run's settings.", metric + '{engine="$engine",experiment="$experiment"}'),
        of_label(
            "fault",
            "Fault",
            "The run's fault; none is a control run.",
            metric + '{engine="$engine",experiment="$experiment",mode="$mode"}',
        ),
    ]
