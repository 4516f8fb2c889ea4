"""What a Redis member and a Sentinel decide before they start: their own scripts, run by bash for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from caplab_operator.engines.redis.users import MEMBER_USERS, SENTINEL_USERS, file_of

IMAGES = Path(__file__).parents[4] / "images"
HOSTS = [f"rd-{number}.rd-members.lab.svc.cluster.local" for number in range(3)]
SENTINELS = [f"rd-sentinel-{number}.rd-sentinels.lab.svc.cluster.local" for number in range(3)]
NAMED, ROLES = "named", "roles"
# Answers what the folders hold for a host: whom a Sentinel names, or a member's role.
REDIS_CLI = """#!/bin/bash
touch "$HOME/asked"
while [[ $1 != -h ]]; do shift; done
host="$2"; shift 2
[[ $1 == -p ]] && shift 2
case "$1" in sentinel) cat "$HOME/named/$host";; role) cat "$HOME/roles/$host";; esac
"""


# Gives the decision of the startup program, when there is one.
STARTUP = """#!/bin/bash
until [[ -s "$HOME/decision" ]]; do kill -0 $PPID || exit; sleep 0.02; done
cat "$HOME/decision"
"""


@dataclass
class Home:
    """A pod's file system, as far as its scripts see it; the database itself only says what it was started with."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def configure(self, **changed: str) -> None:
        self.settings |= changed
        lines = [f"{name}='{value}'\n" for name, value in self.settings.items()]
        draft = self.folder / "config" / "draft"
        draft.write_text("".join(lines))
        draft.rename(self.folder / "config" / "lab.env")

    def say(self, what: str, **answers: str) -> None:
        """What each host of a number answers from now on: named={'0': host}, or roles."""
        for path in (self.folder / what).iterdir():
            path.unlink()
        for number, answer in answers.items():
            hosts = SENTINELS if what == NAMED else HOSTS
            (self.folder / what / hosts[int(number.strip("_"))]).write_text(answer + "\n6379\n")

    def all_name(self, number: int) -> None:
        self.say(NAMED, _0=HOSTS[number], _1=HOSTS[number], _2=HOSTS[number])

    def decide(self, number: int, confirmation: str = "confirmed") -> None:
        """What the startup program decides."""
        draft = self.folder / "draft"
        draft.write_text(f"{HOSTS[number]} {confirmation}\n")
        draft.rename(self.folder / "decision")

    def was(self, replica_of: str | None) -> None:
        """What the member was in its last life."""
        text = "port 6379\n" + (f"replicaof {replica_of} 6379\n" if replica_of else "")
        (self.folder / "data" / "redis.conf").write_text(text)

    def begin(self, script: str, host: str) -> subprocess.Popen[str]:
        passwords = {
            f"{name}_PASSWORD": name.lower() for name in ("OPERATOR", "REPLICATION", "SENTINEL", "APPLICATION")
        }
        env = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "MEMBER_HOST": host,
            "CAPLAB_GATE": str(self.folder / "gate"),
            "CAPLAB_CONFIG": str(self.folder / "config"),
            "CAPLAB_DATA": str(self.folder / "data"),
            **passwords,
        }
        command = ["bash", str(self.folder / "bin" / script)]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

    def run(self, script: str, host: str) -> str:
        """The configuration that a database was started with."""
        out, _ = self.begin(script, host).communicate(timeout=20)
        assert "STARTED" in out, out
        return out.partition("STARTED\n")[2]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    for name in ("bin", "config", "data", "gate", NAMED, ROLES):
        (tmp_path / name).mkdir()
    for script in ("run-member", "run-sentinel", "named-primary", "users-of"):
        shutil.copy(IMAGES / "redis" / script, tmp_path / "bin")
    shutil.copy(IMAGES / "base" / "wait-at-gate", tmp_path / "bin")
    stubs = {
        "redis-cli": REDIS_CLI,
        "redis-server": '#!/bin/bash\necho STARTED; cat "$1"\n',
        "python3": STARTUP,
        "getent": '#!/bin/bash\n[[ ! -e "$HOME/unresolved" ]]\n',
    }
    for name, text in stubs.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "config" / "redis.conf").write_text("port 6379\nappendonly yes\n")
    (tmp_path / "config" / "users").write_text(file_of(MEMBER_USERS))
    (tmp_path / "config" / "sentinel-users").write_text(file_of(SENTINEL_USERS))
    (tmp_path / "config" / "timing.conf").write_text("sentinel down-after-milliseconds caplab 1000\n")
    made = Home(tmp_path)
    made.configure(
        MEMBER_HOSTS=" ".join(HOSTS),
        SENTINEL_HOSTS=" ".join(SENTINELS),
        RESTARTED_PRIMARY="WaitForDecision",
        PERSISTENCE="everysec",
        QUORUM="2",
        INITIAL_PRIMARY=HOSTS[0],
        BOOTSTRAP="no",
    )
    return made


def follows(configuration: str) -> str | None:
    primaries = [line.split()[1] for line in configuration.splitlines() if line.startswith("replicaof ")]
    return primaries[0] if primaries else None


def started(member: subprocess.Popen[str]) -> str:
    out, _ = member.communicate(timeout=20)
    return out.partition("STARTED\n")[2]


def test_a_member_waits_for_its_startup_decision_whoever_is_named_or_primary(home: Home) -> None:
    """Only the startup program asks whether the Sentinels know that the primary is up."""
    home.was(replica_of=HOSTS[0])
    home.all_name(1)
    home.say(ROLES, _1="master")
    member = home.begin("run-member", HOSTS[2])
    time.sleep(0.5)  # long enough to have started if it did not wait
    assert member.poll() is None
    home.decide(0)
    assert follows(started(member)) == HOSTS[0]


def test_a_member_that_is_chosen_is_primary(home: Home) -> None:
    home.decide(0)
    assert follows(home.run("run-member", HOSTS[0])) is None


def test_the_setting_can_change_while_a_member_waits(home: Home) -> None:
    dump = home.folder / "data" / "dump.rdb"
    dump.write_text("old")
    member = home.begin("run-member", HOSTS[0])
    home.configure(PERSISTENCE="none")
    home.decide(1)
    assert started(member)
    assert not dump.exists()


def test_a_primary_that_may_come_back_asks_nobody(home: Home) -> None:
    home.configure(RESTARTED_PRIMARY="ComeBack")
    home.was(replica_of=None)
    home.all_name(1)
    assert follows(home.run("run-member", HOSTS[0])) is None


def test_a_waiting_member_ends_when_it_is_told_to(home: Home) -> None:
    member = home.begin("run-member", HOSTS[0])
    time.sleep(0.3)  # it is in the middle of it
    member.terminate()
    assert member.wait(10) == 143


@pytest.mark.parametrize(
    ("was", "decided", "confirmation", "is_news"),
    [
        (None, 0, "confirmed", False),  # primary as before: since then
        (None, 1, "confirmed", True),
        (HOSTS[1], 1, "confirmed", True),  # it is primary to this day
        (HOSTS[1], 1, "unconfirmed", False),
        (HOSTS[1], 0, "confirmed", True),
    ],
)
def test_the_time_of_the_file_tells_since_when_a_member_knows_who_is_primary(
    home: Home, was: str | None, decided: int, confirmation: str, is_news: bool
) -> None:
    home.was(replica_of=was)
    file = home.folder / "data" / "redis.conf"
    os.utime(file, (1000, 1000))
    home.decide(decided, confirmation)
    home.run("run-member", HOSTS[0])
    assert (file.stat().st_mtime > 1000) is is_news


@pytest.mark.parametrize(
    ("persistence", "restarted", "kept"),
    [
        ("none", "WaitForDecision", False),
        ("none", "ComeBack", True),  # stale data included, as Redis by itself does
        ("everysec", "WaitForDecision", True),
    ],
)
def test_what_no_setting_promises_is_not_found_again(home: Home, persistence: str, restarted: str, kept: bool) -> None:
    home.configure(PERSISTENCE=persistence, RESTARTED_PRIMARY=restarted)
    home.was(replica_of=HOSTS[1])
    home.decide(1)
    dump = home.folder / "data" / "dump.rdb"
    dump.write_text("old")
    home.run("run-member", HOSTS[0])
    assert dump.exists() is kept


def test_a_members_configuration_has_its_users_and_nobody_else_may_read_it(home: Home) -> None:
    home.decide(1)
    text = home.run("run-member", HOSTS[0])
    assert text.startswith("port 6379\nappendonly yes\n")
    assert f"replica-announce-ip {HOSTS[0]}" in text
    users = {line.split()[1]: line for line in text.splitlines() if line.startswith("user ")}
    assert users["default"] == "user default off"
    assert ">application" in users["caplab"]
    assert "+@all" not in users["caplab"]
    assert (home.folder / "data" / "redis.conf").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("what", "answers", "expected"),
    [
        (NAMED, {"_1": HOSTS[2], "_2": HOSTS[2], "_0": "IDONTKNOW what"}, HOSTS[2]),
        (ROLES, {"_1": "slave", "_2": "master"}, HOSTS[2]),
        (ROLES, {"_1": "slave"}, HOSTS[0]),
    ],
    ids=["other Sentinels know", "a member says it is primary", "nobody knows"],
)
def test_a_new_sentinel_watches_the_primary_and_knows_the_replicas(
    home: Home, what: str, answers: dict[str, str], expected: str
) -> None:
    home.say(what, **answers)
    lines = home.run("run-sentinel", SENTINELS[0]).splitlines()
    monitor = lines.index(f"sentinel monitor caplab {expected} 6379 2")
    assert lines.index("sentinel down-after-milliseconds caplab 1000") > monitor
    replicas = {line.split()[3] for line in lines if line.startswith("sentinel known-replica")}
    assert replicas == set(HOSTS) - {expected}


def test_a_sentinel_waits_until_names_are_known(home: Home) -> None:
    home.all_name(1)
    (home.folder / "unresolved").touch()
    sentinel = home.begin("run-sentinel", SENTINELS[0])
    time.sleep(0.5)  # long enough for a few more looks
    assert sentinel.poll() is None
    assert not (home.folder / "asked").exists()  # the looks are cheap: on a small machine databases start meanwhile
    (home.folder / "unresolved").unlink()
    assert f"sentinel monitor caplab {HOSTS[1]} 6379 2" in started(sentinel)


@pytest.mark.parametrize(("script", "host"), [("run-member", HOSTS[0]), ("run-sentinel", SENTINELS[0])])
def test_neither_a_member_nor_a_sentinel_starts_while_its_gate_is_closed(home: Home, script: str, host: str) -> None:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    closed = home.folder / "gate" / "closed-f1"
    closed.write_text(f"{boot_id} 999999999999\n")
    home.decide(1)
    kept = home.begin(script, host)
    assert kept.stdout is not None
    assert kept.stdout.readline().startswith("kept down by a fault")
    assert kept.poll() is None
    closed.unlink()
    assert started(kept)


def identity(configuration: str) -> list[str]:
    return [line for line in configuration.splitlines() if "myid" in line]


def test_a_sentinel_keeps_its_memory_and_its_name(home: Home) -> None:
    first = home.run("run-sentinel", SENTINELS[0])
    home.say(NAMED, _1=HOSTS[2], _2=HOSTS[2])
    assert home.run("run-sentinel", SENTINELS[0]) == first
    (home.folder / "data" / "sentinel.conf").unlink()
    assert identity(home.run("run-sentinel", SENTINELS[0])) == identity(first)
    (home.folder / "data" / "sentinel.conf").unlink()
    assert identity(home.run("run-sentinel", SENTINELS[1])) != identity(first)
