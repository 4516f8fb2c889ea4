"""The lab's Grafana dashboards as code; `python -m caplab_dashboards write` makes the JSON beside this package."""
