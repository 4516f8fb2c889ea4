"""What the cluster was like when a test on it failed: pods, events, and the end of all logs, as a file to read."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from support.kind.kind_lab import Lab

_NOT_TOLD = ("kube-system", "local-path-storage")
_LINES = "150"


def record_failure(lab: Lab, test: str, report: str) -> Path:
    """Write the record of one failed test beside the lab's other logs. Returns its path."""
    parts = [report, _ask(lab, "get", "pods", "-A", "-o", "wide")]
    parts.append(_ask(lab, "get", "faults,runs,postgresclusters,redisclusters,cassandraclusters", "-A", "-o", "yaml"))
    parts.append(_ask(lab, "get", "events", "-A", "--sort-by=.lastTimestamp"))
    answer = lab.cluster.kubectl("get", "pods", "-A", "-o", "json", timeout_seconds=20)
    for pod in json.loads(answer.out)["items"] if answer.ok else []:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        if namespace not in _NOT_TOLD:
            logs = ("logs", "-n", namespace, name, "--all-containers", "--prefix", "--timestamps", f"--tail={_LINES}")
            parts.append(_ask(lab, *logs))
            if pod["status"].get("phase") == "Running":
                parts.append(_ask(lab, "exec", "-n", namespace, name, "--", "ps", "-eo", "pid,ppid,stat,wchan:20,args"))
    folder = lab.cache.logs / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"failed-{re.sub(r'[^A-Za-z0-9]+', '-', test)[-80:]}-{time.strftime('%H%M%S')}.log"
    path.write_text("\n\n".join(parts))
    return path


def _ask(lab: Lab, *arguments: str) -> str:
    """Return a command and what it printed, whatever became of it."""
    answer = lab.cluster.kubectl(*arguments, timeout_seconds=20)
    return f"$ kubectl {' '.join(arguments)}\n{answer.out}{answer.err}"
