"""Probe objects: which of them to run here (pure), and how their status is reported."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from caplab.contract.bounds import MESSAGE_CHARACTERS
from caplab.contract.names import API_VERSION, PROBE
from caplab.contract.objects import Metadata, Probe, ProbeHeader, ProbeStatus, VantageStatus
from caplab.contract.records import BodyError
from caplab.kube.client import Client
from caplab.kube.errors import NotFound

from .engines import factory_for
from .probe import Status
from .spec import ProbeSpec, Target, probe_from

_SECONDS = 5.0

Body = Mapping[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WantedProbe:
    """A Probe object that is to run here; uid tells it from an older one of the same name."""

    uid: str
    name: str
    spec: ProbeSpec
    target: Target


@dataclass(frozen=True, slots=True)
class RefusedProbe:
    """A Probe object that names this vantage but cannot be read."""

    uid: str
    namespace: str
    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class ProbeActions:
    """What to do: probes to start, uids to stop, objects to refuse."""

    start: tuple[WantedProbe, ...] = ()
    stop: tuple[str, ...] = ()
    refuse: tuple[RefusedProbe, ...] = ()


def decide(objects: Collection[Body], vantage: str, started: Collection[str]) -> ProbeActions:
    """Decide what to do at a vantage that has started the probes in started (uids).

    An object runs once: one that has ended here, by its own status, does not begin again after a
    restart. Changes to a spec other than stop and vantages do not reach a probe that runs.
    """
    start: list[WantedProbe] = []
    refuse: list[RefusedProbe] = []
    wanted: set[str] = set()
    for body in objects:
        try:
            header = ProbeHeader.from_body(body)
        except BodyError as error:
            log.warning("a Probe can't be read: %s", error)
            continue
        if not header.is_for(vantage):
            continue
        uid = str(header.metadata.uid)
        wanted.add(uid)
        if uid in started or header.has_ended_at(vantage):
            continue
        probe = _read(body, header.metadata)
        (start if isinstance(probe, WantedProbe) else refuse).append(probe)  # type: ignore[arg-type]
    stop = tuple(uid for uid in started if uid not in wanted)
    return ProbeActions(tuple(start), stop, tuple(refuse))


def _read(body: Body, metadata: Metadata) -> WantedProbe | RefusedProbe:
    try:
        spec, target = probe_from(Probe.from_body(body))
        factory_for(target.kind).check(spec)
    except ValueError as error:
        return RefusedProbe(str(metadata.uid), str(metadata.namespace), metadata.name, str(error))
    return WantedProbe(str(metadata.uid), metadata.name, spec, target)


def status_body(namespace: str, name: str, vantage: str, status: Status) -> dict[str, Any]:
    """Return what a vantage applies: its own entry of status.vantages (a map list by name), nothing else."""
    entry = VantageStatus(
        name=vantage,
        phase=status.phase,
        operations=status.operations,
        since=status.since,
        last_error=status.last_error[:MESSAGE_CHARACTERS],
    )
    return {
        "apiVersion": API_VERSION,
        "kind": PROBE,
        "metadata": {"namespace": namespace, "name": name},
        "status": ProbeStatus(vantages=(entry,)).to_body(),
    }


def apply_status(client: Client, namespace: str, name: str, vantage: str, status: Status) -> None:
    """Apply a vantage's entry with its own field manager; an object that is gone is no error."""
    with suppress(NotFound):
        body = status_body(namespace, name, vantage, status)
        client.limited(read_seconds=_SECONDS).apply_status(body, f"caplab-prober-{vantage}")
