"""Measure what a RedisCluster promises of itself, and keep it: docs/evidence/redis.md.

From the applied object to Ready; from a promotion until the primary's Service leads there, as clients of every zone
see it; and a prober at 1,000 operations a second. Takes ten minutes; the lab's cluster must be up (make up).
"""

from __future__ import annotations

import datetime
import os
import re
import statistics
import sys
import time
import uuid
from collections.abc import Sequence

from caplab_cluster.paths import REPOSITORY, Cache
from chaoscaplab.clusters.engines import engine_named
from chaoscaplab.clusters.provision import Cluster
from chaoscaplab.probes.histories import cores, fetch_clock, fetch_history, prober_usage
from chaoscaplab.probes.loads import Loads
from chaoscaplab.server import Server
from chaoscaplab.waiting import wait_until
from evidence import made_by, spread
from proof_clusters import remove

from caplab.check import schedule
from caplab.check.finding import Context
from caplab.contract.engines import REDIS
from caplab.contract.names import FAULT
from caplab.contract.phases import FAULT_OVER
from caplab.kube.context import connect
from caplab.kube.paths import path_of
from caplab.model.history import Table, validate
from caplab.run_context import current_run

EVIDENCE = REPOSITORY / "docs" / "evidence" / "redis.md"
NAMESPACE, NAME, KIND = "redis-proof", "rd", REDIS.kind
ZONES = ("a", "b", "c")
STARTS, FAILOVERS = 5, 12
LIMITS = {"Ready": 20.0, "Service": 0.3, "on time": 0.99}
DOWN_SECONDS = 5
FULL_RATE, FULL_SECONDS, FULL_RUNS = 1000.0, 30.0, 3


def ready_seconds(server: Server) -> float:
    """Return the seconds from applying a new object to Ready by its status."""
    cluster = Cluster(server=server, engine=engine_named("redis"), namespace=NAMESPACE, name=NAME, spec={})
    started = time.monotonic()
    server.apply(KIND, NAMESPACE, NAME, {})
    cluster.await_ready()
    return time.monotonic() - started


def promoted_at(member: str) -> float:
    """Return when a member became primary, by its own log: unix seconds, by the millisecond."""
    log = connect().answer("GET", f"{path_of('v1', 'Pod', NAMESPACE, member)}/log").decode()
    line = [line for line in log.splitlines() if "MASTER MODE enabled" in line][-1]
    stamp = re.search(r"\d+ \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}", line)
    assert stamp
    return datetime.datetime.strptime(stamp[0] + " +0000", "%d %b %Y %H:%M:%S.%f %z").timestamp()


def fail_over(server: Server, cluster: Cluster) -> tuple[str, float]:
    """Kill the primary and keep it down until there is another one; returns that one, and when it was promoted."""
    old, name = primary(server), f"kill-{uuid.uuid4().hex[:6]}"
    target = {"kind": KIND, "name": NAME, "role": "primary", "count": 1}
    fault = server.create(
        FAULT, NAMESPACE, name, {"target": target, "kill": {"keepDown": True}, "durationSeconds": DOWN_SECONDS}
    )
    wait_until("there is another primary", lambda: "" if primary(server) not in (old, "") else "none yet", 30)
    new = primary(server)
    moment = promoted_at(new)
    wait_until("the fault is over", lambda: "" if ended(server, name) else "it is not", 30)
    server.remove(FAULT, fault)
    cluster.provision()  # members that were restarted are remade, or their node would make them wait
    return new, moment


def ended(server: Server, fault: str) -> bool:
    """Return whether a fault has ended."""
    status = (server.get(FAULT, NAMESPACE, fault) or {}).get("status") or {}
    return status.get("phase") in FAULT_OVER


def primary(server: Server) -> str:
    """Return the primary that the operator names."""
    body = server.get(KIND, NAMESPACE, NAME) or {}
    return str((body.get("status") or {}).get("primary", ""))


def delays(history: Table, promotions: Sequence[tuple[str, int]]) -> list[float]:
    """Return for each promotion and zone the seconds until the Service's first write that the new primary acked."""
    rows = [row for row in history.to_pylist() if row["op"] == "add" and row["outcome"] == "ok"]
    delays_seconds = []
    for member, at_ns in promotions:
        for zone in ZONES:
            own = [row["invoke_ns"] for row in rows if row["vantage"] == zone and row["server"] == member]
            delays_seconds.append((min(ns for ns in own if ns >= at_ns) - at_ns) / 1e9)
    return delays_seconds


def service_delays(server: Server) -> list[float]:
    """Return the seconds from promotions to the Service, over all failovers and zones."""
    cluster = Cluster(server=server, engine=engine_named("redis"), namespace=NAMESPACE, name=NAME, spec={})
    run = f"service-{uuid.uuid4().hex[:6]}"
    loads = Loads(
        server=server, namespace=NAMESPACE, target={"kind": KIND, "name": NAME}, run_id=run, vantages=ZONES, seed=0
    )
    # 100 a second: a client finds the Service switched at most 10 ms after it is.
    probes = [{"name": "set", "workload": "set", "rate": 100, "routes": ["service"], "seconds": 900}]
    loads.start(probes)
    moments = []
    for number in range(FAILOVERS):
        moments.append(fail_over(server, cluster))
        print(f"  failover {number + 1} of {FAILOVERS}: {moments[-1][0]}", flush=True)
    loads.end(probes)
    _, anchor = fetch_clock(server, NAMESPACE, run, ZONES[0])
    promotions = [(member, round(at * 1e9) - anchor.unix_ns + anchor.monotonic_ns) for member, at in moments]
    return delays(validate(fetch_history(server, NAMESPACE, run, ZONES)), promotions)


def full_rate(server: Server) -> tuple[float, float, float]:
    """Run one zone's prober at FULL_RATE; returns acknowledged operations a second, the share on time, cores."""
    run, zone = f"full-{uuid.uuid4().hex[:6]}", ZONES[:1]
    loads = Loads(
        server=server, namespace=NAMESPACE, target={"kind": KIND, "name": NAME}, run_id=run, vantages=zone, seed=0
    )
    probes = [{"name": "set", "workload": "set", "rate": FULL_RATE, "seconds": 900}]
    loads.start(probes)
    before = {zone[0]: prober_usage(server, zone[0])}
    time.sleep(FULL_SECONDS)
    taken = cores(before, {zone[0]: prober_usage(server, zone[0])})[zone[0]]
    loads.end(probes)
    history = validate(fetch_history(server, NAMESPACE, run, zone))
    scheduled = sorted(history.column("scheduled_ns").to_pylist())
    acked = sum(row == "ok" for row in history.column("outcome").to_pylist())
    rate = acked / ((scheduled[-1] - scheduled[0]) / 1e9)
    finding = schedule.check(history, Context())
    on_time = finding.figures["on_time_ratio"]
    assert isinstance(on_time, float)
    return rate, on_time, taken


def main() -> int:
    """Measure and write the evidence. Returns 0 if every limit holds."""
    os.environ.setdefault("KUBECONFIG", str(Cache.from_environment().kubeconfig))
    load, server = os.getloadavg()[0], Server(current_run())
    server.open_namespace(NAMESPACE)
    starts = []
    for number in range(STARTS):
        remove(server, NAMESPACE, {"redis": NAME})
        starts.append(ready_seconds(server))
        print(f"  start {number + 1} of {STARTS}: {starts[-1]:.1f} s", flush=True)
    switched = service_delays(server)
    full = []
    for _ in range(FULL_RUNS):
        full.append(full_rate(server))
        print("  {:.0f} operations/s acknowledged, {:.2%} on time, {:.2f} core".format(*full[-1]), flush=True)
    remove(server, NAMESPACE, {"redis": NAME})
    EVIDENCE.write_text(
        "\n".join(
            [
                "# What a RedisCluster promises of itself, measured",
                "",
                made_by(__file__, load),
                "",
                "| what | n | min / median / max | limit |",
                "|---|---|---|---|",
                f"| from the applied object to Ready (three members, three Sentinels; warm) | {STARTS} |"
                f" {spread(starts)} | {LIMITS['Ready']:g} s |",
                f"| from a promotion, by the new primary's own log, to the first write by the primary's Service that it"
                f" acknowledged, as clients of every zone began it | {len(switched)} |"
                f" {spread(switched, 'ms')} | median {LIMITS['Service'] * 1000:g} ms |",
                "",
                f"A prober of one zone at {FULL_RATE:g} operations/s, {FULL_RUNS} times for {FULL_SECONDS:g} s:",
                "",
                "| acknowledged a second | started within 5 ms of their schedule | cores |",
                "|---|---|---|",
                *(f"| {rate:.0f} | {on_time:.2%} | {taken:.2f} |" for rate, on_time, taken in full),
                "",
            ]
        )
    )
    print(EVIDENCE.read_text())
    held = (
        max(starts) <= LIMITS["Ready"]
        and statistics.median(switched) <= LIMITS["Service"]
        and statistics.median(on_time for _, on_time, _ in full) >= LIMITS["on time"]
        and min(rate for rate, _, _ in full) >= 0.99 * FULL_RATE
    )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
