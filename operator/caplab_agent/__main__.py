"""Entry point of python3 -m caplab_agent, which runs until it is told to stop.

Stopping heals nothing: the next agent goes on from the journal.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from caplab.contract.names import FAST_PATH_LABEL, FAULT
from caplab.kube.context import ContextRefused, connect
from caplab.kube.watcher import Watcher

from . import commands, exporter
from .agent import Agent
from .api import Api
from .cgroups import Cgroups
from .clock import Clock
from .deaths.fences import Fences
from .deaths.watch import DeathWatch
from .faults import Body
from .freezer import Freezer
from .holds import Holds
from .injections import AgentLocation
from .injector import Node
from .injectors import injectors_on
from .injectors.kill.gate import Gates
from .journal import Journal
from .report import Reporter

CGROUPS = Path("/sys/fs/cgroup")
PODS = Path("/var/lib/kubelet/pods")
PROC = Path("/proc")
JOURNAL = Path("/var/lib/caplab/faults.json")


def agent_location(environment: Mapping[str, str]) -> AgentLocation:
    """Read the agent's node and namespace from the environment. Raises ValueError if one is missing."""
    for name in ("CAPLAB_NODE", "CAPLAB_NAMESPACE"):
        if not environment.get(name):
            raise ValueError(f"{name} is not set. Hint: the DaemonSet sets it from the pod's own fields.")
    return AgentLocation(environment["CAPLAB_NODE"], environment["CAPLAB_NAMESPACE"])


def main() -> int:
    """Run the agent, and return its exit code: 0 if it was told to stop, 2 if it cannot start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        location, client = agent_location(os.environ), connect()
    except (ContextRefused, ValueError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 2
    clock, api = Clock(), Api(client, location.node)
    node = Node(
        clock=clock,
        cgroups=Cgroups(CGROUPS),
        holds=Holds(Freezer(), clock),
        pods=PODS,
        proc=PROC,
        start=commands.start,
        read_pod=api.pod,
        newest=lambda assignment: agent.newest(assignment),  # noqa: PLW0108  # it is made below
    )
    agent = Agent(
        location=location,
        clock=clock,
        journal=Journal(JOURNAL),
        reader=api,
        injectors=injectors_on(node),
        reporter=Reporter(api.report),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    exporter.serve(exporter.registry_of(location.node, agent.live, lambda: agent.seconds_since_event))
    Watcher(client=client, kind=FAULT, namespace="", changed=agent.on_faults).start()
    deaths = DeathWatch(cgroups=node.cgroups, gates=Gates(node.pods, clock), report=api.report_death)
    deaths.start()
    fences = Fences(cgroups=Cgroups(CGROUPS), holds=node.holds, clock=clock)

    def on_pods(pods: list[Body]) -> None:
        deaths.on_pods(pods)
        fences.on_pods(pods)

    here = {"labelSelector": FAST_PATH_LABEL, "fieldSelector": f"spec.nodeName={location.node}"}
    Watcher(client=client, api_version="v1", kind="Pod", namespace="", selectors=here, changed=on_pods).start()
    agent.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
