"""Which probes run where (pure), and the watcher and the control loop against an API server of a few lines."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from caplab_probes import controller
from caplab_probes.controller import Controller
from caplab_probes.exporter import Exporter
from caplab_probes.links import Endpoint
from caplab_probes.load.sessions import session_numbers
from caplab_probes.probe import ProberContext, Status
from caplab_probes.routing.targets import LiveTopology, SharedTopologies, topology_of
from caplab_probes.spec import ClientOptions, Limits, Target, probe_from
from caplab_probes.watch import ProbeActions, WantedProbe, apply_status, decide, status_body
from support.objects.kube_clients import client_at

from caplab.contract.names import API_VERSION, CLUSTER_LABEL, PART_LABEL, PROBE
from caplab.contract.objects import Levels, Probe
from caplab.kube.client import Client
from caplab.kube.watcher import Watcher


def probe_object(uid: str = "u1", phase: str = "", deleted: bool = False, **spec: object) -> dict[str, Any]:
    metadata = {"uid": uid, "name": f"load-{uid}", "namespace": "lab", "resourceVersion": "5"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    target = {"kind": "PostgresCluster", "name": "pg"}
    whole = {"target": target, "workload": "set", "rate": 5, "vantages": ["a", "b"], "runId": "r", **spec}
    entries = [{"name": "b", "phase": "Done"}, *([{"name": "a", "phase": phase}] if phase else [])]
    return {"metadata": metadata, "spec": whole, "status": {"vantages": entries}}


def names(actions: ProbeActions) -> tuple[list[str], list[str], list[str]]:
    return [probe.uid for probe in actions.start], list(actions.stop), [probe.uid for probe in actions.refuse]


@pytest.mark.parametrize(
    ("objects", "started", "expected"),
    [
        ([probe_object()], [], (["u1"], [], [])),
        ([probe_object()], ["u1"], ([], [], [])),
        ([probe_object("u1"), probe_object("u2")], ["u1"], (["u2"], [], [])),
        ([], ["u1"], ([], ["u1"], [])),
        ([probe_object(stop=True)], ["u1"], ([], ["u1"], [])),
        ([probe_object(stop=True)], [], ([], [], [])),
        ([probe_object(deleted=True)], ["u1"], ([], ["u1"], [])),
        ([probe_object(vantages=["b", "c"])], ["u1"], ([], ["u1"], [])),
        ([probe_object(vantages=["b", "c"])], [], ([], [], [])),
        # A prober that was restarted goes on with what ran here, and leaves what had ended here.
        ([probe_object(phase="Running")], [], (["u1"], [], [])),
        ([probe_object(phase="Done")], [], ([], [], [])),
        ([probe_object(phase="Failed")], [], ([], [], [])),
        ([probe_object(workload="sets")], [], ([], [], ["u1"])),
        ([probe_object(rate="fast")], [], ([], [], ["u1"])),
        ([probe_object(target={"kind": "RedisCluster", "name": "rd"})], [], (["u1"], [], [])),
        ([probe_object(target={"kind": "CassandraCluster", "name": "cs"})], [], (["u1"], [], [])),
        ([probe_object(target={"kind": "MongoCluster", "name": "m"})], [], ([], [], ["u1"])),
        ([probe_object(levels={"write": "wait-1"})], [], ([], [], ["u1"])),
        ([probe_object(workload="sets", phase="Failed")], [], ([], [], [])),
        # The same name made anew.
        ([probe_object("u2")], ["u1"], (["u2"], ["u1"], [])),
    ],
)
def test_what_to_do_follows_from_what_is_asked_and_what_runs(
    objects: list[dict[str, Any]], started: list[str], expected: tuple[list[str], list[str], list[str]]
) -> None:
    assert names(decide(objects, "a", started)) == expected


def test_an_object_that_cannot_be_read_is_refused_with_the_field() -> None:
    (refused,) = decide([probe_object(workload="sets")], "a", []).refuse
    assert "workload is 'sets'" in refused.problem


@pytest.mark.parametrize(
    ("kind", "levels", "problem"),
    [
        ("MongoCluster", {}, "target.kind is 'MongoCluster'. Hint: use one of PostgresCluster, RedisCluster, "),
        (
            "PostgresCluster",
            {"write": "wait-1"},
            "levels.write is 'wait-1'. Hint: leave it out; a PostgresCluster has none.",
        ),
        ("RedisCluster", {"write": "wait-9"}, "levels.write is 'wait-9'. Hint: use one of wait-1, wait-2, "),
        ("RedisCluster", {"read": "one"}, "levels.read is 'one'. Hint: leave it out; a RedisCluster has none."),
    ],
)
def test_a_kind_or_a_level_that_no_engine_knows_is_refused_with_the_hint(
    kind: str, levels: dict[str, str], problem: str
) -> None:
    (refused,) = decide([probe_object(target={"kind": kind, "name": "x"}, levels=levels)], "a", []).refuse
    assert refused.problem.startswith(problem)


def test_a_level_that_the_engine_knows_is_carried_on() -> None:
    asked = probe_object(target={"kind": "RedisCluster", "name": "rd"}, levels={"write": "wait-2"})
    (wanted,) = decide([asked], "a", []).start
    assert wanted.spec.levels == Levels(write="wait-2")


@pytest.mark.parametrize(
    ("kind", "spec", "problem"),
    [
        ("CassandraCluster", {"levels": {"write": "FOUR"}}, "levels.write is 'FOUR'. Hint: use one of ANY, ONE, "),
        ("CassandraCluster", {"levels": {"read": "ANY"}}, "levels.read is 'ANY'. Hint: use one of ONE, TWO, "),
        ("CassandraCluster", {"levels": {"read": "EACH_QUORUM"}}, "levels.read is 'EACH_QUORUM'. Hint: use one of "),
        ("CassandraCluster", {"levels": {"write": "quorum"}}, "levels.write is 'quorum'. Hint: use one of ANY, "),
        (
            "CassandraCluster",
            {"workload": "clock"},
            "workload is 'clock'. Hint: use one of set, register, register-multi, counter, cas, ids, txn, set-scan, ",
        ),
        (
            "RedisCluster",
            {"client": {"clientTimestamps": False}},
            "client.clientTimestamps is False. Hint: leave it out; a RedisCluster has no such option.",
        ),
        (
            "PostgresCluster",
            {"client": {"speculativeDelayMilliseconds": 50}},
            "client.speculativeDelayMilliseconds is 50. Hint: leave it out; a PostgresCluster has no such option.",
        ),
        (
            "CassandraCluster",
            {"workload": "counter", "levels": {"write": "SERIAL"}},
            "levels.write of the workload counter is 'SERIAL'. Hint: use one of ONE, TWO, ",
        ),
        (
            "CassandraCluster",
            {"workload": "counter", "levels": {"read": "LOCAL_SERIAL"}},
            "levels.read of the workload counter is 'LOCAL_SERIAL'. Hint: use one of ONE, TWO, ",
        ),
        (
            "CassandraCluster",
            {"workload": "counter", "levels": {"write": "ANY"}},
            "levels.write of the workload counter is 'ANY'. Hint: use one of ONE, TWO, ",
        ),
        (
            "CassandraCluster",
            {"workload": "cas", "levels": {"write": "QUORUM"}},
            "levels.write of the workload cas is 'QUORUM'. Hint: use one of SERIAL, LOCAL_SERIAL.",
        ),
        ("CassandraCluster", {"workload": "ids", "levels": {"write": "ONE"}}, "levels.write of the workload ids is "),
        (
            "CassandraCluster",
            {"routes": ["replica"]},
            "routes has 'replica'. Hint: use direct; a CassandraCluster has no primary and no replicas.",
        ),
        (
            "RedisCluster",
            {"routes": ["replica"], "client": {"readRouting": "causal"}},
            "client.readRouting is 'causal'. Hint: leave it out; a RedisCluster has no such option.",
        ),
        (
            "PostgresCluster",
            {"client": {"readRouting": "plain"}},
            "client.readRouting is 'plain'. Hint: leave it out, or add the route replica.",
        ),
        (
            "PostgresCluster",
            {"routes": ["replica"], "client": {"readRouting": "nearest"}},
            "client.readRouting is 'nearest'. Hint: one of plain, read-your-writes, monotonic, lag-aware, causal.",
        ),
        (
            "PostgresCluster",
            {"routes": ["replica"], "client": {"readRouting": "causal", "maxLagBytes": 5}},
            "client.maxLagBytes is 5. Hint: only with lag-aware.",
        ),
        (
            "PostgresCluster",
            {"routes": ["replica"], "client": {"readRouting": "lag-aware", "maxLagBytes": -1}},
            "client.maxLagBytes is -1. Hint: a whole number, 0 or more.",
        ),
        (
            "PostgresCluster",
            {"routes": ["replica"], "client": {"readRouting": "monotonic", "replicaWaitMilliseconds": 5}},
            "client.replicaWaitMilliseconds is 5. Hint: only with causal.",
        ),
        (
            "PostgresCluster",
            {"routes": ["replica"], "client": {"readRouting": "causal", "replicaWaitMilliseconds": 0}},
            "client.replicaWaitMilliseconds is 0. Hint: a whole number, 1 to 1000.",
        ),
        (
            "CassandraCluster",
            {"client": {"speculativeDelayMilliseconds": 0}},
            "client.speculativeDelayMilliseconds is 0. Hint: a whole number, 1 to 10000.",
        ),
        *(
            (
                kind,
                {"client": {"clockSkewMilliseconds": 500}},
                f"client.clockSkewMilliseconds is 500. Hint: leave it out; a {kind} has no such option.",
            )
            for kind in ("PostgresCluster", "RedisCluster")
        ),
        *(
            (
                "CassandraCluster",
                {"client": {"clockSkewMilliseconds": skew}},
                f"client.clockSkewMilliseconds is {skew!r}. Hint: a whole number, -3600000 to 3600000.",
            )
            for skew in (3_600_001, -3_600_001)
        ),
        (
            "CassandraCluster",
            {"client": {"clockSkewMilliseconds": 0, "clientTimestamps": False}},
            "client.clockSkewMilliseconds is 0. Hint: only with clientTimestamps true.",
        ),
        (
            "CassandraCluster",
            {"client": {"skewedVantages": ["a"]}},
            "client.skewedVantages is ('a',). Hint: only with clockSkewMilliseconds.",
        ),
        *(
            (
                "CassandraCluster",
                {"client": {"clockSkewMilliseconds": 5, "skewedVantages": where}},
                f"client.skewedVantages is {tuple(where)}. Hint: some of a, b, each once.",
            )
            for where in (["a", "d"], ["a", "a"])
        ),
        *(
            (
                "PostgresCluster",
                {"client": {"timeoutMilliseconds": timeout}},
                f"client.timeoutMilliseconds is {timeout!r}. Hint: a whole number, 50 to 120000.",
            )
            for timeout in (49, 120_001)
        ),
        (
            "CassandraCluster",
            {"client": {"timeoutMilliseconds": 600}},
            "client.timeoutMilliseconds is 600. Hint: leave it out; a CassandraCluster has no such option.",
        ),
    ],
)
def test_what_an_engines_client_cannot_do_is_refused_with_the_hint(
    kind: str, spec: dict[str, Any], problem: str
) -> None:
    (refused,) = decide([probe_object(target={"kind": kind, "name": "x"}, **spec)], "a", []).refuse
    assert refused.problem.startswith(problem)


@pytest.mark.parametrize(
    ("client", "problem"),
    [
        ({"clientTimestamps": "no"}, "clientTimestamps: must be true or false, found 'no'."),
        ({"clockSkewMilliseconds": "5"}, "clockSkewMilliseconds: must be a whole number, found '5'."),
        ({"clockSkewMilliseconds": True}, "clockSkewMilliseconds: must be a whole number, found True."),
        ({"timeoutMilliseconds": 600.5}, "timeoutMilliseconds: must be a whole number, found 600.5."),
        ({"skewedVantages": "a"}, "skewedVantages: must be a list, found 'a'."),
        ({"skewedVantages": [1]}, "skewedVantages[0]: must be a text, found 1."),
    ],
)
def test_a_probe_that_cannot_be_read_is_refused_where_it_is_to_run_and_names_the_field(
    client: dict[str, Any], problem: str
) -> None:
    (refused,) = decide([probe_object(client=client)], "a", []).refuse
    assert refused.problem == f"object.spec.client.{problem}"
    assert decide([probe_object(client=client)], "elsewhere", []) == ProbeActions()


@pytest.mark.parametrize("parts", [{"spec": {}}, {"spec": {"vantages": "a"}}, {"status": {"vantages": [{}]}}])
def test_a_probe_that_does_not_say_where_it_is_to_run_keeps_no_other_from_running(parts: dict[str, Any]) -> None:
    actions = decide([{**probe_object("odd"), **parts}, probe_object()], "a", [])
    assert [wanted.uid for wanted in actions.start] == ["u1"]
    assert actions.refuse == ()


def test_the_options_of_a_client_are_carried_on_and_the_default_ones_suit_every_engine() -> None:
    for kind in ("PostgresCluster", "RedisCluster"):
        waiting = probe_object(target={"kind": kind, "name": "x"}, client={"timeoutMilliseconds": 50})
        (wanted,) = decide([waiting], "a", []).start
        assert wanted.spec.client == ClientOptions(timeout_ms=50)
    asked = {"clientTimestamps": False, "speculativeDelayMilliseconds": 50}
    cassandra = probe_object(target={"kind": "CassandraCluster", "name": "cs"}, client=asked)
    (wanted,) = decide([cassandra], "a", []).start
    assert wanted.spec.client == ClientOptions(client_timestamps=False, speculative_delay_ms=50)
    for options in ({}, {"clientTimestamps": True}):
        (wanted,) = decide([probe_object(client=options)], "a", []).start
        assert wanted.spec.client == ClientOptions()


@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({}, {"a": None, "b": None}),
        ({"clockSkewMilliseconds": -250}, {"a": -250, "b": -250}),
        ({"clockSkewMilliseconds": 3_600_000, "skewedVantages": ["b"]}, {"a": None, "b": 3_600_000}),
    ],
)
def test_a_clock_is_skewed_at_the_vantages_that_are_named_or_at_all(
    options: dict[str, Any], at: dict[str, int | None]
) -> None:
    cassandra = probe_object(target={"kind": "CassandraCluster", "name": "cs"}, client=options)
    (wanted,) = decide([cassandra], "a", []).start
    assert {vantage: wanted.spec.client.at(vantage).clock_skew_ms for vantage in at} == at


def asked_for_clients(
    monkeypatch: pytest.MonkeyPatch, vantage: str, folder: Path, *clients: dict[str, Any]
) -> list[tuple[Limits, ClientOptions]]:
    """What a prober at a vantage asks an engine for, for loads with these clients."""
    asked: list[tuple[Limits, ClientOptions]] = []
    factory = SimpleNamespace(client=lambda login, limits, topology, options: asked.append((limits, options)))
    monkeypatch.setattr(controller, "factory_for", lambda kind: factory)
    monkeypatch.setattr(controller, "read_login", lambda api, target: {})
    monkeypatch.setattr(SharedTopologies, "open", lambda topologies, target: None)
    around = ProberContext(
        vantage=vantage, folder=folder, limits=Limits(), exporter=Exporter(vantage), numbers=session_numbers()
    )

    async def scenario() -> None:
        prober = Controller(client_at(1), around)
        for options in clients:
            prober._reach(WantedProbe("u1", "load", *probe_from(Probe.from_body(probe_object(client=options)))))

    asyncio.run(scenario())
    return asked


@pytest.mark.parametrize(("vantage", "skew_ms"), [("a", 500), ("b", None)])
def test_a_prober_makes_its_client_with_its_own_skew(
    vantage: str, skew_ms: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_said = {"clockSkewMilliseconds": 500, "skewedVantages": ["a"]}
    asked = asked_for_clients(monkeypatch, vantage, tmp_path, client_said)
    assert [options.clock_skew_ms for _, options in asked] == [skew_ms]


def test_each_load_has_a_client_of_its_own_with_its_own_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_for_clients(monkeypatch, "a", tmp_path, {"timeoutMilliseconds": 40_000}, {})
    assert [limits for limits, _ in asked] == [Limits(statement_seconds=40), Limits()]


def test_a_vantage_speaks_for_itself_only() -> None:
    body = status_body("lab", "load", "a", Status("Running", 7, "2026-01-01T00:00:00Z", "x" * 5000))
    (entry,) = body["status"]["vantages"]
    assert (entry["name"], entry["phase"], entry["operations"]) == ("a", "Running", 7)
    assert len(entry["lastError"]) == 1000
    assert set(body["status"]) == {"vantages"}


class FakeApi:
    """Lists probes and pods, streams events, takes patches of a status."""

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.patches: list[tuple[str, str, dict[str, Any]]] = []  # path with query, content type, body
        self.lists = 0
        self.paths: list[str] = []
        self.broken = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def client(self) -> Client:
        return client_at(self.server.server_port)

    def answer(self, path: str) -> tuple[int, list[dict[str, Any]]]:
        self.paths.append(path)
        if self.broken:
            return 500, [{"kind": "Status"}]
        if "watch=true" in path.lower():
            events, self.events = self.events, []
            return 200, events
        if "/pods" in path:
            pods = [{"metadata": {"name": f"pg-{n}"}, "status": {"podIP": f"10.0.0.{n}"}} for n in range(3)]
            return 200, [{"items": pods}]
        if "/probes" in path:
            self.lists += 1
            return 200, [{"metadata": {"resourceVersion": "5"}, "items": self.objects}]
        return 404, [{"kind": "Status", "message": "no such thing"}]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, bodies = fake.answer(self.path)
                self._send(status, "".join(json.dumps(body) + "\n" for body in bodies))

            def do_PATCH(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.patches.append((self.path, self.headers["Content-Type"], body))
                self._send(404 if "gone" in self.path else 200, "{}")

            def _send(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("namespace", ["", "lab"])
def test_the_watcher_tells_of_every_change_and_lists_anew(api: FakeApi, namespace: str) -> None:
    heard: list[list[str]] = []
    api.objects = [probe_object("u1")]
    api.events = [
        {"type": "ADDED", "object": probe_object("u2")},
        {"type": "DELETED", "object": probe_object("u1")},
    ]
    watcher = Watcher(
        client=api.client(),
        kind=PROBE,
        namespace=namespace,
        changed=lambda bodies: heard.append([body["metadata"]["uid"] for body in bodies]),
    )
    watcher.start()
    wait_until(lambda: len(heard) >= 4)
    watcher.stop()
    assert heard[:4] == [["u1"], ["u1", "u2"], ["u2"], ["u1"]]


def test_the_watcher_goes_on_after_the_api_server_was_away(api: FakeApi) -> None:
    heard: list[int] = []
    api.broken = True
    watcher = Watcher(client=api.client(), kind=PROBE, namespace="", changed=lambda bodies: heard.append(len(bodies)))
    watcher.start()
    time.sleep(0.2)
    assert not heard
    api.broken = False
    wait_until(lambda: bool(heard))
    watcher.stop()


def test_a_status_is_applied_by_the_vantages_own_manager(api: FakeApi) -> None:
    apply_status(api.client(), "lab", "load", "a", Status("Running", 1, "2026-01-01T00:00:00Z"))
    ((path, content_type, body),) = api.patches
    assert path.startswith(f"/apis/{API_VERSION}/namespaces/lab/probes/load/status?")
    assert "fieldManager=caplab-prober-a" in path
    assert "force=True" in path or "force=true" in path
    assert content_type == "application/apply-patch+yaml"
    assert body["status"]["vantages"][0]["name"] == "a"


def test_the_status_of_an_object_that_is_gone_is_no_error(api: FakeApi) -> None:
    apply_status(api.client(), "lab", "gone", "a", Status("Done", 1, "2026-01-01T00:00:00Z"))


def test_control_starts_what_is_asked_refuses_what_it_cannot_read_and_says_so(api: FakeApi, tmp_path: Path) -> None:
    api.objects = [probe_object("u1"), probe_object("u2", workload="sets"), probe_object("u3", vantages=["c"])]

    def statuses(name: str) -> list[dict[str, Any]]:
        return [body["status"]["vantages"][0] for path, _, body in list(api.patches) if f"/{name}/" in path]

    async def scenario() -> None:
        stopped = asyncio.Event()
        around = ProberContext(
            vantage="a", folder=tmp_path, limits=Limits(), exporter=Exporter("a"), numbers=session_numbers()
        )
        control = asyncio.create_task(Controller(api.client(), around).run(stopped))
        # There is no secret in this API server, so the probe waits for its target and says why.
        await asyncio.to_thread(
            wait_until, lambda: any("PostgresCluster pg" in status["lastError"] for status in statuses("load-u1"))
        )
        await asyncio.to_thread(wait_until, lambda: bool(statuses("load-u2")))
        api.objects = [probe_object("u1", stop=True)]
        await asyncio.to_thread(wait_until, lambda: statuses("load-u1")[-1]["phase"] == "Done")
        stopped.set()
        await control

    asyncio.run(scenario())
    assert statuses("load-u2")[0]["phase"] == "Failed"
    assert not statuses("load-u3")


@pytest.mark.parametrize(
    ("kind", "suffix", "port"),
    [("PostgresCluster", "primary", 5432), ("RedisCluster", "primary", 6379), ("CassandraCluster", "any", 9042)],
)
def test_a_targets_members_are_addresses_and_its_service_is_a_name(
    api: FakeApi, kind: str, suffix: str, port: int
) -> None:
    live = LiveTopology(api.client(), Target("lab", kind, "pg"))
    topology = live()
    assert topology.service == Endpoint("service", f"pg-{suffix}.lab.svc.cluster.local.", port)
    assert topology.members == tuple(Endpoint(f"pg-{n}", f"10.0.0.{n}", port) for n in range(3))
    assert topology.member_at("10.0.0.2") == "pg-2"
    assert topology.member_at("10.9.9.9") == "10.9.9.9"
    # The same selector for every engine: it leaves Sentinels out.
    assert f"labelSelector={CLUSTER_LABEL}=pg,{PART_LABEL}=member" in unquote(api.paths[-1])


def test_probes_of_one_target_share_its_topology_until_the_last_of_them_has_ended(api: FakeApi) -> None:
    pg, rd = Target("lab", "PostgresCluster", "pg"), Target("lab", "RedisCluster", "rd")
    topologies = SharedTopologies(api.client())
    first = topologies.open(pg)
    read = len(api.paths)
    assert topologies.open(pg) is first
    assert len(api.paths) == read
    assert topologies.open(rd) is not first
    topologies.close(pg)
    assert topologies.open(pg) is first
    for _ in range(2):
        topologies.close(pg)
    assert topologies.open(pg) is not first
    topologies.close(pg)
    topologies.close(rd)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("topology-") and not _ends(thread)]


def _ends(thread: threading.Thread) -> bool:
    thread.join(5)
    return not thread.is_alive()


def test_a_member_without_an_address_is_none_yet() -> None:
    pods = [{"metadata": {"name": "pg-0"}, "status": {}}]
    assert topology_of(Target("lab", "PostgresCluster", "pg"), pods).members == ()
