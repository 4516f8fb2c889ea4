"""A client of echo pods with no API server in between: it runs on its node, in its network namespace."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping

from caplab_cluster.engine import ContainerEngine

from support.kind.echo_pods import PORT, EchoPods

# For each name=address: send a word on a new connection, and see whether it is answered within 0.4 s.
_LOOK = r"""
pid=$(cat $(find /sys/fs/cgroup -path "*$1*" -name cgroup.procs 2>/dev/null) | sort -n | head -n 1)
look() {
  local said
  while true; do
    said=$(timeout 0.4 bash -c "$ask" "$2" "$3" 2> /dev/null)
    echo "$1 $EPOCHREALTIME ${said:-no}"
    sleep 0.1
  done
}
ask='exec 3<> "/dev/tcp/$0/$1" && echo x >&3 && read -r word <&3 && echo yes'
export -f look
export ask
shift
for each; do
  IFS="=:" read -r name address port <<< "$each"
  nsenter --net="/proc/$pid/ns/net" bash -c "look $name $address $port" &
done
trap 'kill $(jobs -p)' EXIT
read -r _  # until the other end is closed
"""


class OutsideClient:
    """A client that asks echo pods until it is closed; times are unix seconds."""

    def __init__(self, echo_pods: EchoPods, client: str, watched: Mapping[str, str]) -> None:
        engine: ContainerEngine = echo_pods.lab.engine
        pod = echo_pods.pods()[client]
        uid = pod["metadata"]["uid"].replace("-", "_")
        routes = [f"{name}={address}:{PORT}" for name, address in watched.items()]
        command = [engine.path, "exec", "-i", pod["spec"]["nodeName"], "bash", "-c", _LOOK, "look", uid, *routes]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **engine.env}
        )
        self._answers: dict[str, list[tuple[float, bool]]] = {name: [] for name in watched}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, at, answered = line.split()
            self._answers[name].append((float(at), answered == "yes"))

    def answers(self, name: str, since: float = 0.0) -> float | None:
        """Return when an echo pod first answered after a moment."""
        return next((at for at, answered in list(self._answers[name]) if answered and at > since), None)

    def silent(self, name: str, since: float) -> bool:
        """Return whether a request after a moment got no answer."""
        return any(not answered and at > since for at, answered in list(self._answers[name]))

    def await_answer(self, name: str, since: float, within_seconds: float) -> float:
        end = time.monotonic() + within_seconds
        while (answered_at := self.answers(name, since)) is None:
            assert time.monotonic() < end, f"{name} did not answer again"
            time.sleep(0.05)
        return answered_at

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
