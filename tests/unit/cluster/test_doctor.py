from __future__ import annotations

from dataclasses import replace

import pytest
from caplab_cluster.failure import Failure
from caplab_cluster.machine.choose import SetupOptions
from caplab_cluster.machine.doctor import Check, examine, refuse_unfit, render
from caplab_cluster.machine.facts import Machine
from support.cluster.machines import BARE_DEBIAN, DOCKER_LAPTOP, GIB


def check(machine: Machine, name: str) -> Check:
    return next(check for check in examine(machine, SetupOptions()) if check.name == name)


@pytest.mark.parametrize(
    ("machine", "name", "level", "says"),
    [
        (replace(BARE_DEBIAN, root=False), "container engine", "fail", "only root can install it"),
        (replace(BARE_DEBIAN, memory_bytes=2 * GIB), "memory", "fail", "too little memory"),
        (replace(BARE_DEBIAN, memory_bytes=6 * GIB), "memory", "warn", "one database engine at a time"),
        (replace(BARE_DEBIAN, disk_free_bytes=GIB), "disk", "fail", "too little disk space"),
        (replace(BARE_DEBIAN, disk_free_bytes=6 * GIB), "disk", "warn", "warm caches"),
        (BARE_DEBIAN, "inotify instances", "warn", "`make up` raises it"),
        (replace(BARE_DEBIAN, root=False), "inotify instances", "warn", "sudo sysctl"),
        (replace(BARE_DEBIAN, nf_tables=False), "nf_tables", "warn", "Unavailable: partitions"),
    ],
)
def test_what_is_lacking_is_said_in_a_sentence(machine: Machine, name: str, level: str, says: str) -> None:
    check_ = check(machine, name)
    assert check_.level == level
    assert says in check_.sentence


def test_a_fit_machine_passes_and_what_could_not_be_looked_at_is_unknown() -> None:
    for machine in (BARE_DEBIAN, DOCKER_LAPTOP):
        checks = examine(machine, SetupOptions())
        refuse_unfit(checks)
        assert len(render(checks).splitlines()) >= len(checks)
    assert check(DOCKER_LAPTOP, "memory").level == "unknown"
    assert check(BARE_DEBIAN, "nf_tables").level == "unknown"


def test_an_unfit_machine_is_refused_with_sentence_and_hint() -> None:
    with pytest.raises(Failure) as failed:
        refuse_unfit(examine(replace(BARE_DEBIAN, disk_free_bytes=GIB), SetupOptions()))
    assert "1.0 GiB free" in failed.value.sentence
    assert "CAPLAB_CACHE" in failed.value.hint
