"""Which alerts a run made fire, by what Prometheus tells."""

from __future__ import annotations

import json
from typing import Any

from support.kind.lab_prometheus import fired


class FakeLab:
    """Its Prometheus tells these series of alerts: labels and when each began to fire."""

    def __init__(self, *series: tuple[dict[str, str], float]) -> None:
        self.series = series
        self.asked = ""

    def kubectl(self, *arguments: str) -> str:
        self.asked = arguments[-1]
        result = [{"metric": labels, "values": [[began, "1"], [began + 1, "1"]]} for labels, began in self.series]
        return json.dumps({"data": {"result": result}})


def test_what_began_to_fire_in_a_run_is_told_and_what_fired_before_is_not() -> None:
    lab: Any = FakeLab(
        ({"alertname": "CaplabNoWriteAcked", "engine": "postgres"}, 105.0),
        ({"alertname": "CaplabProberStalled"}, 130.0),
        ({"alertname": "CaplabAckedWritesLost", "engine": "redis"}, 99.0),  # of a run before
    )
    assert fired(lab, 100.0) == {("CaplabNoWriteAcked", "postgres"), ("CaplabProberStalled", "")}
    assert "services/caplab-prometheus:9090/proxy/api/v1/query_range?" in lab.asked
    assert "start=99.000" in lab.asked
