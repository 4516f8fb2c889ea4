"""Measure what a CassandraCluster promises of itself, and keep it: docs/evidence/cassandra.md.

From the applied object to Ready, alone and with Postgres and Redis applied at the same moment; the memory that the
three of them and the whole lab use; and what the tests of the kind print. Takes 20 minutes; the lab's cluster must be
up.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence

from caplab_cluster.kind_cluster import NODES
from caplab_cluster.machine import usage
from caplab_cluster.paths import REPOSITORY, Cache
from caplab_cluster.progress import Progress
from caplab_cluster.setup_context import begin
from chaoscaplab.clusters.engines import engine_named
from chaoscaplab.clusters.provision import Cluster
from chaoscaplab.server import Server
from chaoscaplab.waiting import wait_until
from evidence import made_by, printed_by_tests, spread
from proof_clusters import remove

from caplab.run_context import current_run

EVIDENCE = REPOSITORY / "docs" / "evidence" / "cassandra.md"
NAMESPACE = "cassandra-proof"
ENGINES = {"postgres": "pg", "redis": "rd", "cassandra": "cs"}
STARTS = 3
ALONE_SECONDS, TOGETHER_SECONDS, TOGETHER_GIB = 120.0, 150.0, 6.0
WINDOW_SECONDS = 20.0
TESTS = "tests/kind/test_cassandra_cluster.py"


def start(server: Server, engines: Sequence[str]) -> dict[str, float]:
    """Apply clusters at one moment; returns for each the seconds until it was Ready by its status."""
    clusters = {
        engine: Cluster(server=server, engine=engine_named(engine), namespace=NAMESPACE, name=ENGINES[engine], spec={})
        for engine in engines
    }
    started = time.monotonic()
    for cluster in clusters.values():
        server.apply(cluster.engine.ENGINE.kind, NAMESPACE, cluster.name, {})
    seconds: dict[str, float] = {}

    def left() -> str:
        for engine, cluster in clusters.items():
            if engine not in seconds and not cluster.not_steady():
                seconds[engine] = time.monotonic() - started
        return ", ".join(set(engines) - set(seconds))

    wait_until("all are Ready", left, 300)
    return seconds


def gib_of_everything() -> float:
    """Return the memory of all nodes: the control plane's, the lab's own pods and the databases."""
    engine = begin(Progress(Cache.from_environment().logs / "prove"), Cache.from_environment()).engine
    taken = usage.measure(engine, NODES, WINDOW_SECONDS)
    return sum(node.memory_bytes for node in taken.values()) / 1024**3


def table(alone: Sequence[float], together: Mapping[str, float], gib: float) -> list[str]:
    """Format the figures beside their limits."""
    each = ", ".join(f"{engine} {seconds:.1f} s" for engine, seconds in together.items())
    return [
        "| what | measured | limit |",
        "|---|---|---|",
        f"| from the applied object to Ready, three members, warm; min / median / max of {len(alone)}"
        f" | {spread(alone)} | {ALONE_SECONDS:g} s |",
        f"| the same with all three engines applied at one moment | {each} | {TOGETHER_SECONDS:g} s in all |",
        f"| memory of everything with the three of them: all four nodes, working set | {gib:.2f} GiB"
        f" | {TOGETHER_GIB:g} GiB |",
    ]


def main() -> int:
    """Measure and write the evidence. Returns 0 if every limit holds."""
    os.environ.setdefault("KUBECONFIG", str(Cache.from_environment().kubeconfig))
    load, server = os.getloadavg()[0], Server(current_run())
    server.open_namespace(NAMESPACE)
    alone = []
    for number in range(STARTS):
        remove(server, NAMESPACE, ENGINES)
        alone.append(start(server, ["cassandra"])["cassandra"])
        print(f"  start {number + 1} of {STARTS}: {alone[-1]:.1f} s", flush=True)
    remove(server, NAMESPACE, ENGINES)
    together = start(server, list(ENGINES))
    gib = gib_of_everything()
    print(f"  together: {together}, {gib:.2f} GiB", flush=True)
    remove(server, NAMESPACE, ENGINES)
    passed, printed = printed_by_tests(TESTS)
    EVIDENCE.write_text(
        "\n".join(
            [
                "# What a CassandraCluster promises of itself, measured",
                "",
                made_by(__file__, load),
                "",
                *table(alone, together, gib),
                "",
                f"What `{TESTS}` prints ({'all passed' if passed else 'NOT all passed'}):",
                "",
                "```text",
                printed,
                "```",
                "",
            ]
        )
    )
    print(EVIDENCE.read_text())
    held = max(alone) <= ALONE_SECONDS and max(together.values()) <= TOGETHER_SECONDS and gib < TOGETHER_GIB
    return 0 if held and passed else 1


if __name__ == "__main__":
    sys.exit(main())
