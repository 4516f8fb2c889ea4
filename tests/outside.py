"""What a client hears of boxes with no API server between: asked on its node, in its network namespace."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping

from boxes import PORT, Boxes
from caplab_cluster.engine import Engine

# For each name=address: a word is sent on a new connection, and answered or not within 0.4 s.
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
read -r _  # until nobody holds the other end
"""


class Outside:
    """Looks at boxes from a client until it is closed; times are unix seconds."""

    def __init__(self, boxes: Boxes, client: str, watched: Mapping[str, str]) -> None:
        engine: Engine = boxes.lab.engine
        pod = boxes.pods()[client]
        uid = pod["metadata"]["uid"].replace("-", "_")
        routes = [f"{name}={address}:{PORT}" for name, address in watched.items()]
        command = [engine.path, "exec", "-i", pod["spec"]["nodeName"], "bash", "-c", _LOOK, "look", uid, *routes]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **engine.env}
        )
        self._said: dict[str, list[tuple[float, bool]]] = {name: [] for name in watched}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, at, said = line.split()
            self._said[name].append((float(at), said == "yes"))

    def answers(self, name: str, since: float = 0.0) -> float | None:
        """When a box answered first after a moment."""
        return next((at for at, said in list(self._said[name]) if said and at > since), None)

    def silent(self, name: str, since: float) -> bool:
        """Whether it was asked in vain after a moment."""
        return any(not said and at > since for at, said in list(self._said[name]))

    def await_answer(self, name: str, since: float, within_seconds: float) -> float:
        end = time.monotonic() + within_seconds
        while (found := self.answers(name, since)) is None:
            assert time.monotonic() < end, f"{name} did not answer again"
            time.sleep(0.05)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
