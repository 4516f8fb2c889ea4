"""A container engine made of files, called like Docker and podman: a real program, so any process can call it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from caplab_cluster.engine import ContainerEngine
from caplab_cluster.kind_cluster import CONTROL_PLANE, WORKERS

ADDRESSES = {name: f"10.89.0.{number}" for number, name in enumerate((CONTROL_PLANE, *WORKERS), 2)}

# $FAKE/<container>/ has state, labels and networks; $FAKE/refused and $FAKE/ignored name verbs, one on each line.
SCRIPT = r"""#!/bin/sh
cd "$FAKE" || exit 1
echo "$*" >> calls
verb=$1
[ "$verb" = container ] && shift && verb=state
if grep -qx "$verb" refused; then
  echo "Cannot connect: dial unix docker.sock: no such file or directory" >&2
  exit 125
fi
for last; do :; done
case "$verb" in
ps)
  for one in */; do
    fits=yes
    for filter in "$@"; do
      case "$filter" in --filter=label=*) grep -qx "${filter#--filter=label=}" "$one/labels" || fits= ;; esac
    done
    [ -n "$fits" ] && echo "${one%/}"
  done
  exit 0 ;;
state)
  shift; form=$2; shift 2
  for one in "$@"; do
    [ -d "$one" ] || { echo "Error: No such container: $one" >&2; exit 1; }
    case "$form" in *Name*) echo "/$one|$one|$(cat "$one/state")|image" ;; *) cat "$one/state" ;; esac
  done
  exit 0 ;;
inspect) cat "$last/networks"; exit 0 ;;
update) [ -d "$last" ]; exit ;;
esac
grep -qx "$verb" ignored && exit 0
state=$(cat "$last/state") || exit 1
case "$verb $state" in
"pause running") echo paused > "$last/state" ;;
"unpause paused") echo running > "$last/state" ;;
"stop "*|"kill running") echo exited > "$last/state" ;;
"start exited") echo running > "$last/state" ;;
*) echo "cannot $verb what is $state" >&2; exit 125 ;;
esac
"""


@dataclass(frozen=True)
class FakeEngine:
    """An engine with the lab's nodes, all running; a container's id is its name."""

    folder: Path

    @property
    def engine(self) -> ContainerEngine:
        return ContainerEngine("docker", str(self.folder.parent / "engine"), {"FAKE": str(self.folder)})

    def add(self, name: str, cluster: str = "caplab", role: str = "worker", address: str = "") -> None:
        container = self.folder / name
        container.mkdir()
        (container / "state").write_text("running\n")
        (container / "labels").write_text(f"io.x-k8s.kind.cluster={cluster}\nio.x-k8s.kind.role={role}\n")
        networks = {"caplab": {"IPAddress": address or ADDRESSES.get(name, "10.89.0.99")}}
        (container / "networks").write_text(json.dumps(networks))

    def state(self, name: str) -> str:
        return (self.folder / name / "state").read_text().strip()

    def put(self, name: str, state: str) -> None:
        (self.folder / name / "state").write_text(f"{state}\n")

    def orders(self) -> list[str]:
        """Return the calls that take a node away or bring it back."""
        return [call for call in self.calls() if call.split()[0] not in ("ps", "container", "inspect", "update")]

    def calls(self) -> list[str]:
        """Return all calls."""
        return (self.folder / "calls").read_text().splitlines()

    def refuse(self, *verbs: str) -> None:
        """Fail at these commands from now on, like a silent engine; 'state' is inspecting a container."""
        (self.folder / "refused").write_text("".join(f"{verb}\n" for verb in verbs))

    def ignore(self, *verbs: str) -> None:
        """Do nothing at these commands from now on, and report success."""
        (self.folder / "ignored").write_text("".join(f"{verb}\n" for verb in verbs))


def fake_engine(folder: Path) -> FakeEngine:
    """Make an engine with the lab's cluster, in a new folder."""
    (folder / "containers").mkdir(parents=True)
    script = folder / "engine"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    fake = FakeEngine(folder / "containers")
    for name in ("calls", "refused", "ignored"):
        (fake.folder / name).touch()
    fake.add(CONTROL_PLANE, role="control-plane")
    for worker in WORKERS:
        fake.add(worker)
    return fake
