"""python3 -m caplab_agent: runs on its node until it is told to stop, and heals nothing because of that."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from kubernetes import client

from caplab.bounded import bounded
from caplab.kube import ContextRefused, connect
from caplab.watching import Watcher

from . import commands, exporter
from .agent import Agent
from .api import PLURAL, Api
from .cgroups import Cgroups
from .clock import Clock
from .faults import Freeze, Kill, Partition
from .freeze import Freezing
from .freezer import Freezer
from .gate import Gates
from .holds import Holds
from .injections import Place
from .journal import Journal
from .kill import Killer
from .means import ByKind, Means, Reread
from .netns import Namespaces
from .partition import Partitioning
from .report import Reporter
from .thaw_timer import ThawTimers

CGROUPS = Path("/sys/fs/cgroup")
PODS = Path("/var/lib/kubelet/pods")
PROC = Path("/proc")
JOURNAL = Path("/var/lib/caplab/faults.json")


def place(environment: Mapping[str, str]) -> Place:
    """Where this agent runs. Raises ValueError."""
    for name in ("CAPLAB_NODE", "CAPLAB_NAMESPACE"):
        if not environment.get(name):
            raise ValueError(f"{name} is not set. Hint: the DaemonSet sets it from the pod's own fields.")
    return Place(environment["CAPLAB_NODE"], environment["CAPLAB_NAMESPACE"])


def connection() -> client.ApiClient:
    """A client without retries of its own: each caller has its own bound."""
    settings = connect().configuration
    settings.retries = False
    return bounded(settings)


def means(clock: Clock, reread: Reread) -> Means:
    """What this agent can do, on the node it runs on."""
    cgroups, holds = Cgroups(CGROUPS), Holds(Freezer(), clock)
    return ByKind(
        {
            Kill: Killer(clock, cgroups, Gates(PODS, clock), holds, reread),
            Freeze: Freezing(clock, cgroups, holds, ThawTimers(commands.start)),
            Partition: Partitioning(clock, Namespaces(PROC, cgroups, commands.start), reread),
        }
    )


def main() -> int:
    """Run the agent; 0: it was told to stop, 2: it cannot run like this."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        here, connected = place(os.environ), connection()
    except (ContextRefused, ValueError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 2
    clock, api = Clock(), Api(connected, here.node)
    agent = Agent(here, clock, Journal(JOURNAL), api, means(clock, api.pod), Reporter(api.report))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    exporter.serve(exporter.registry_of(here.node, agent.live, lambda: agent.unheard_seconds))
    Watcher(connected, PLURAL, "", agent.changed).start()
    agent.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
