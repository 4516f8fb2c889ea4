"""How `caplab watch` asks: everybody once a second, bounded, and whoever is silent is unknown and holds up nobody."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster.node_loss.store import NodeLossStore
from support.objects.kube_clients import client_at
from support.runs.watched_lab import PODS, SECRET, Api, FakeLab, Handler, cluster, metrics, pod, run, served

from caplab.contract.names import API_VERSION, VANTAGE_LABEL
from caplab.kube.errors import Forbidden, NoAnswer, TooMuch
from caplab.watch import collector as collector_module
from caplab.watch import lab_client
from caplab.watch.collector import Collector
from caplab.watch.drawing import Paper
from caplab.watch.lab_client import LabClient, PodNotFound
from caplab.watch.values import Picture

PAPER = Paper(80)


@pytest.fixture
def lab() -> Iterator[FakeLab]:
    lab = FakeLab(postgresclusters=[cluster()], runs=[run()])
    lab.metrics = {f"prober-{vantage}": metrics(vantage, ok=10) for vantage in "ab"}
    yield lab
    lab.freed.set()


@pytest.fixture
def collector(lab: FakeLab, tmp_path: Path) -> Iterator[Collector]:
    collector = Collector(lab, NodeLossStore(tmp_path), "context kind-caplab")
    yield collector
    collector.stop()


def awaited(collector: Collector, wanted: Callable[[Picture], bool], seconds: float = 15) -> Picture:
    end = time.monotonic() + seconds
    while not wanted(picture := collector.picture(PAPER)):
        assert time.monotonic() < end, picture
        time.sleep(0.05)
    return picture


def test_everybody_is_asked(collector: Collector) -> None:
    collector.start()
    picture = awaited(collector, lambda picture: picture.is_whole)
    assert [cluster.name for cluster in picture.clusters] == ["pg"]
    assert [prober.name for prober in picture.probers] == ["prober a", "prober b"]
    assert [run.experiment for run in picture.runs] == ["postgres/kill-primary"]


def test_a_silent_prober_is_unknown_and_holds_up_nobody(lab: FakeLab, collector: Collector) -> None:
    lab.silent = {"prober-b"}
    collector.start()
    picture = awaited(collector, lambda picture: bool(picture.routes))
    a, b = picture.probers
    assert (a.is_known, b.is_known, b.problem) == (True, False, "waiting for its answer")
    assert {traffic.route.vantage for traffic in picture.routes} == {"a"}
    assert not picture.is_whole


def test_who_falls_silent_is_unknown_as_soon_as_the_last_answer_is_old(
    monkeypatch: pytest.MonkeyPatch, lab: FakeLab, collector: Collector
) -> None:
    collector.start()
    awaited(collector, lambda picture: picture.is_whole)
    monkeypatch.setattr(collector_module, "_FRESH_SECONDS", 0.5)
    lab.silent = {"api", "operator", "prober-a"}
    picture = awaited(collector, lambda picture: not picture.api_server.is_known and not picture.operator.is_known)
    assert picture.clusters  # as they were: the picture says that this is not known any more
    assert picture.api_server.age_seconds is not None
    assert picture.api_server.age_seconds > 0.5
    awaited(collector, lambda picture: not picture.probers[0].is_known)


@pytest.mark.parametrize(
    ("who", "field", "error", "says"),
    [
        ("operator", "operator", PodNotFound("no pod of it runs"), "no pod of it runs"),
        ("api", "api_server", Forbidden(403, "Forbidden"), "403 Forbidden"),
        ("operator", "operator", OSError("bad\x1b[2J\nline"), "bad [2J line"),
    ],
)
def test_an_error_is_said_in_one_line(
    lab: FakeLab, collector: Collector, who: str, field: str, error: Exception, says: str
) -> None:
    lab.broken = {who: error}
    collector.start()
    awaited(collector, lambda picture: getattr(picture, field).problem == says)


def test_an_object_that_cannot_be_read_ends_nothing(lab: FakeLab, collector: Collector) -> None:
    lab.plurals["faults"] = [{"metadata": {"namespace": "lab"}, "spec": {}, "status": {}}]
    collector.start()
    picture = awaited(collector, lambda picture: bool(picture.api_server.problem))
    assert not picture.is_whole


def test_an_operator_that_is_stuck_is_unknown(lab: FakeLab, collector: Collector) -> None:
    lab.round_seconds = 40.0
    collector.start()
    picture = awaited(collector, lambda picture: "ago" in picture.operator.problem)
    assert picture.operator.problem.startswith("its oldest round ended 40 s ago")


def test_a_note_of_a_lost_node_that_cannot_be_read_is_no_lab_without_lost_nodes(
    collector: Collector, tmp_path: Path
) -> None:
    (tmp_path / "n.json").write_text("{}")
    collector.start()
    picture = awaited(collector, lambda picture: "cannot be read" in picture.host.problem)
    assert not picture.is_whole


def test_a_prober_whose_pod_is_gone_is_missed(lab: FakeLab, collector: Collector) -> None:
    collector.start()
    awaited(collector, lambda picture: picture.is_whole)
    lab.pods = {"a": "prober-a", "b": ""}
    lab.broken = {"": PodNotFound("no pod of it runs")}
    picture = awaited(collector, lambda picture: not picture.is_whole)
    assert [prober.problem for prober in picture.probers] == ["", "no pod of it runs"]


def test_a_namespace_can_be_asked_for(lab: FakeLab, tmp_path: Path) -> None:
    collector = Collector(lab, NodeLossStore(tmp_path), "", "other")
    collector.start()
    try:
        picture = awaited(collector, lambda picture: picture.is_whole)
        assert (picture.clusters, picture.runs, picture.routes) == ((), (), ())
    finally:
        collector.stop()


@pytest.fixture
def api() -> Iterator[Api]:
    with served() as api:
        yield api


@pytest.fixture
def lab_api(api: Api) -> LabClient:
    return LabClient(client_at(api.server_port))


def test_objects_are_listed_and_a_kind_that_is_not_served_has_none(api: Api, lab_api: LabClient) -> None:
    api.tell(f"/apis/{API_VERSION}/faults", {"items": [{"metadata": {}}]})
    assert lab_api.objects("faults") == [{"metadata": {}}]
    assert lab_api.objects("runs") == []
    api.tell(f"/apis/{API_VERSION}/runs", {"message": "you may not"}, 403)
    with pytest.raises(Forbidden, match="you may not"):
        lab_api.objects("runs")


def test_what_is_listed_last_is_told_too_and_what_is_too_much_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch, lab_api: LabClient
) -> None:
    answers = 3

    def page(_method: str, _path: str, query: dict[str, str]) -> dict[str, Any]:
        number = int(query.get("continue", 0))
        mark = str(number + 1) if number + 1 < answers else ""
        return {"items": [{"number": number}], "metadata": {"continue": mark}}

    monkeypatch.setattr(lab_api._client, "call", page)
    assert lab_api.objects("runs") == [{"number": 0}, {"number": 1}, {"number": 2}]
    answers = 9
    with pytest.raises(TooMuch, match="it has over 2,000 runs"):
        lab_api.objects("runs")


def test_of_each_vantage_the_pod_that_runs_is_found(api: Api, lab_api: LabClient) -> None:
    zone = VANTAGE_LABEL
    gone = {**pod("a-1", **{zone: "a"}), "metadata": {"name": "a-1", "labels": {zone: "a"}, "deletionTimestamp": "now"}}
    items = [pod("a-2", **{zone: "a"}), gone, pod("b-1", "Pending", **{zone: "b"}), pod("c-1", **{zone: "c"})]
    api.tell(PODS, {"items": items})
    assert lab_api.probers() == {"a": "a-2", "b": "", "c": "c-1"}


def test_a_prober_is_asked_with_its_token_which_is_read_once(api: Api, lab_api: LabClient) -> None:
    path = f"{PODS}/p:9187/proxy/metrics"
    api.tell(path, metrics(ok=3).encode())
    for _ in range(3):
        (count,) = lab_api.counts("p").values()
        assert count.acked == 3
    assert api.asked == [(SECRET, None), *[(path, "secret")] * 3]


def test_a_token_that_is_refused_is_read_anew(api: Api, lab_api: LabClient) -> None:
    path = f"{PODS}/p:9187/proxy/metrics"
    api.tell(path, b"no", 401)
    with pytest.raises(Forbidden):
        lab_api.counts("p")
    api.tell(path, b"")
    api.tell(SECRET, {"data": {"token": base64.b64encode(b"another").decode()}})
    assert lab_api.counts("p") == {}
    assert api.asked[-1] == (path, "another")


def test_without_a_pod_there_is_nobody_to_ask(api: Api, lab_api: LabClient) -> None:
    api.tell(PODS, {"items": [pod("o", "Pending")]})
    for ask in (lab_api.operator, lambda: lab_api.counts("")):
        with pytest.raises(PodNotFound):
            ask()


def test_the_operator_tells_of_its_oldest_round(api: Api, lab_api: LabClient) -> None:
    api.tell(PODS, {"items": [pod("o")]})
    api.tell(f"{PODS}/o:9188/proxy/metrics", b"caplab_operator_oldest_round_seconds 0.75\n")
    assert lab_api.operator() == 0.75


def test_an_answer_of_any_length_is_not_read(monkeypatch: pytest.MonkeyPatch, api: Api, lab_api: LabClient) -> None:
    lab_api._client = lab_api._client.limited(max_bytes=1 << 17)
    api.tell(f"/apis/{API_VERSION}/faults", b"[" * (1 << 18))
    with pytest.raises(TooMuch, match="it answers with over 131072 bytes"):
        lab_api.objects("faults")


def test_an_api_server_that_is_not_there_is_told_in_a_few_words() -> None:
    with pytest.raises(NoAnswer) as error:
        LabClient(client_at(1)).objects("faults")
    assert error.value.reason == "no connection to the API server"


def test_an_api_server_that_accepts_and_never_answers_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as silent:  # its backlog accepts, and nobody serves
        monkeypatch.setitem(lab_client._LIMITS, "read_seconds", 0.1)
        lab_api = LabClient(client_at(silent.server_port))
        began = time.monotonic()
        with pytest.raises(NoAnswer) as error:
            lab_api.objects("faults")
        assert error.value.reason == "the API server does not answer in time"
        assert time.monotonic() - began < 5
