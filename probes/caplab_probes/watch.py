"""Probe objects: which of them to run here (pure), watching them, and saying how they stand.

A plain watcher, no kopf: two kopf processes on one kind would share annotations.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client, watch

from .probe import Status
from .spec import ProbeSpec, Target, probe_from

GROUP, VERSION, PLURAL = "caplab.dev", "v1alpha1", "probes"
_WATCH_SECONDS = 60  # a watch whose connection died silently would freeze: it ends and begins anew
_TIMEOUT = (5, _WATCH_SECONDS + 15)  # connect and read, seconds
_AGAIN_SECONDS = 1.0  # after an error
_NEXT_SECONDS = 0.2  # after a watch that ended, in case every one ends at once
_ENDED = frozenset({"Done", "Failed"})

Body = Mapping[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A Probe object that is to run here; uid tells it from an older one of the same name."""

    uid: str
    name: str
    spec: ProbeSpec
    target: Target


@dataclass(frozen=True, slots=True)
class Refused:
    """A Probe object that names this vantage but cannot be read."""

    uid: str
    namespace: str
    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Moves:
    """What to do: probes to start, uids to stop, objects to refuse."""

    start: tuple[Wanted, ...] = ()
    stop: tuple[str, ...] = ()
    refuse: tuple[Refused, ...] = ()


def decide(objects: Collection[Body], vantage: str, known: Collection[str]) -> Moves:
    """What to do at a vantage where known (uids) were started already.

    An object runs once: one that has ended here, by its own status, is not begun again after a
    restart. Changes to a spec other than stop and vantages do not reach a probe that runs.
    """
    start: list[Wanted] = []
    refuse: list[Refused] = []
    wanted: set[str] = set()
    for body in objects:
        if not _asks_for(body, vantage):
            continue
        uid = body["metadata"]["uid"]
        wanted.add(uid)
        if uid in known or _phase_here(body, vantage) in _ENDED:
            continue
        one = _read(body)
        (start if isinstance(one, Wanted) else refuse).append(one)  # type: ignore[arg-type]
    stop = tuple(uid for uid in known if uid not in wanted)
    return Moves(tuple(start), stop, tuple(refuse))


def _asks_for(body: Body, vantage: str) -> bool:
    spec = body.get("spec") or {}
    going = "deletionTimestamp" in body["metadata"]
    return not going and not spec.get("stop", False) and vantage in (spec.get("vantages") or ())


def _phase_here(body: Body, vantage: str) -> str:
    entries = (body.get("status") or {}).get("vantages") or ()
    return next((str(entry.get("phase")) for entry in entries if entry.get("name") == vantage), "")


def _read(body: Body) -> Wanted | Refused:
    metadata = body["metadata"]
    try:
        spec, target = probe_from(body)
    except (ValueError, TypeError) as error:
        return Refused(metadata["uid"], metadata["namespace"], metadata["name"], str(error))
    return Wanted(metadata["uid"], metadata["name"], spec, target)


def status_body(namespace: str, name: str, vantage: str, status: Status) -> dict[str, Any]:
    """What a vantage applies: its own entry of status.vantages (a map list by name), nothing else."""
    entry = {
        "name": vantage,
        "phase": status.phase,
        "operations": status.operations,
        "since": status.since,
        "lastError": status.last_error[:1000],
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Probe",
        "metadata": {"namespace": namespace, "name": name},
        "status": {"vantages": [entry]},
    }


@dataclass(slots=True)
class Watcher:
    """Lists and watches Probe objects in a thread, and calls changed with all of them after every change.

    namespace '': all of them. A list is made anew after every error and every _WATCH_SECONDS, so that
    nothing that was missed is missed for long.
    """

    api: client.ApiClient
    namespace: str
    changed: Callable[[list[Body]], None]
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin, in a daemon thread."""
        threading.Thread(target=self._run, name="probes", daemon=True).start()

    def stop(self) -> None:
        """Begin no further list; a watch under way ends by itself."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._list_and_watch()
                self._stopped.wait(_NEXT_SECONDS)
            except Exception as error:  # whatever it is, the next list shows what is there
                log.warning("watching Probe objects: %s", error)
                self._stopped.wait(_AGAIN_SECONDS)

    def _list_and_watch(self) -> None:
        custom = client.CustomObjectsApi(self.api)
        where: dict[str, Any] = {"group": GROUP, "version": VERSION, "plural": PLURAL, "_request_timeout": _TIMEOUT}
        call: Callable[..., Any] = custom.list_cluster_custom_object
        if self.namespace:
            call, where["namespace"] = custom.list_namespaced_custom_object, self.namespace
        listed = call(**where)
        objects: dict[str, Body] = {item["metadata"]["uid"]: item for item in listed["items"]}
        self.changed(list(objects.values()))
        version = listed["metadata"]["resourceVersion"]
        events: Iterable[Any] = watch.Watch().stream(  # type: ignore[no-untyped-call]
            call, **where, resource_version=version, timeout_seconds=_WATCH_SECONDS
        )
        for event in events:
            body = event["object"]
            if event["type"] == "DELETED":
                objects.pop(body["metadata"]["uid"], None)
            else:
                objects[body["metadata"]["uid"]] = body
            self.changed(list(objects.values()))


def apply_status(api: client.ApiClient, namespace: str, name: str, vantage: str, status: Status) -> None:
    """Apply a vantage's entry with its own field manager; an object that is gone is no error."""
    try:
        client.CustomObjectsApi(api).patch_namespaced_custom_object_status(
            GROUP,
            VERSION,
            namespace,
            PLURAL,
            name,
            status_body(namespace, name, vantage, status),
            field_manager=f"caplab-prober-{vantage}",
            force=True,
            _content_type="application/apply-patch+yaml",
            _request_timeout=_TIMEOUT[0],
        )
    except client.ApiException as error:
        if error.status != 404:
            raise
