"""Links between dashboards, which keep the time range and the selection."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard

TAG = "caplab"
OVERVIEW, RUN, CACHE = "caplab-overview", "caplab-run", "caplab-cache"  # uids: `caplab run` prints links by them
OF_ENGINES = {engine: f"caplab-{engine}" for engine in ("postgres", "redis", "cassandra")}
UIDS = {OVERVIEW: "Overview", RUN: "Run", CACHE: "Cache", **{uid: name.title() for name, uid in OF_ENGINES.items()}}
_WHOM = "${cluster_namespace:queryparam}&${cluster:queryparam}"


def to(uid: str, whom: str = _WHOM) -> dashboard.DashboardLink:
    """Return a link of a panel, about the same cluster and the same time."""
    query = "&".join(part for part in ("${__url_time_range}", whom) if part)
    return _link(f"{UIDS[uid]} dashboard", f"/d/{uid}?{query}")


def of_field(uid: str, *labels: str) -> dashboard.DashboardLink:
    """Return a link of a series, about what its labels name."""
    whom = "&".join(f"var-{name}=${{__field.labels.{name}}}" for name in labels)
    return _link(f"{UIDS[uid]}: ${{__field.labels.{labels[-1]}}}", f"/d/{uid}?${{__url_time_range}}&{whom}")


def of_row(uid: str, *columns: str) -> dashboard.DashboardLink:
    """Return a link of a table's cell, about what the cells of its row name."""
    whom = "&".join(f"var-{name}=${{__data.fields.{name}}}" for name in columns)
    return _link(f"{UIDS[uid]} of this row", f"/d/{uid}?${{__url_time_range}}&{whom}")


def between_dashboards() -> list[dashboard.DashboardLink]:
    """Return the list of the lab's dashboards at the top of each."""
    return [
        dashboard.DashboardLink(
            title="caplab",
            type_val=dashboard.DashboardLinkType.DASHBOARDS,
            icon="dashboard",
            tooltip="The lab's other dashboards",
            tags=[TAG],
            as_dropdown=True,
            include_vars=True,
            keep_time=True,
        )
    ]


def _link(title: str, url: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(title=title, url=url, type_val=dashboard.DashboardLinkType.LINK)
