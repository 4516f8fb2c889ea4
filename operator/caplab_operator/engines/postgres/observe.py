"""What Patroni says of a cluster: asked from its members, never read from labels."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..pods import Pod
from .manifests import PATRONI_PORT
from .readings import Reading

_TIMEOUT_SECONDS = 2.0
_REFUSAL_BYTES = 300
_ANSWER_BYTES = 1 << 20  # a history of some thousand failovers; what is longer is cut off, and so no JSON
# Members are reached by address, never by a proxy of the environment.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a cluster.

    answers holds each answering member's own /patroni; topology, config and history are
    what one of them (the leader, if it answers) says of the whole. readings are what each
    member's own Postgres says.
    """

    pods: tuple[Pod, ...]
    leader: str | None  # the leader object's holder
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    topology: Mapping[str, Any] | None = None
    config: Mapping[str, Any] | None = None
    history: Sequence[Sequence[Any]] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    silences: Mapping[str, str] = field(default_factory=dict)  # why a member's Postgres does not say its settings


def look(pods: Sequence[Pod], leader: str | None) -> Seen:
    """Ask every member at once; silence is an answer too (a missing entry)."""
    with ThreadPoolExecutor(max(1, len(pods))) as pool:
        said = dict(zip([pod.name for pod in pods], pool.map(lambda pod: _get(pod, "/patroni"), pods), strict=True))
    answers = {name: answer for name, answer in said.items() if isinstance(answer, dict)}
    # The leader knows best; without it, anyone who answers repeats what the store holds.
    askable = sorted((pod for pod in pods if pod.name in answers), key=lambda pod: pod.name != leader)
    if not askable:
        return Seen(tuple(pods), leader, answers)
    topology, config, history = (_get(askable[0], path) for path in ("/cluster", "/config", "/history"))
    return Seen(
        tuple(pods),
        leader,
        answers,
        topology if isinstance(topology, dict) else None,
        config if isinstance(config, dict) else None,
        history if isinstance(history, list) else (),
    )


def tell(address: str, password: str, path: str, what: Mapping[str, Any], method: str = "POST") -> str:
    """Have a member's Patroni do something; what it refuses ('' where nothing), in its own words.

    No answer in time is no refusal: it may be at it for longer than anybody waits here.
    """
    token = base64.b64encode(f"patroni:{password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{address}:{PATRONI_PORT}{path}",
        data=json.dumps(what).encode(),
        method=method,
        headers={"Content-Type": "application/json", "Authorization": f"Basic {token}"},
    )
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(_REFUSAL_BYTES).decode(errors='replace').strip()}"
    except TimeoutError:
        return ""
    except OSError as error:
        return "" if isinstance(getattr(error, "reason", None), TimeoutError) else str(error)


def _get(pod: Pod, path: str) -> object:
    if pod.address is None:
        return None
    try:
        with _OPENER.open(f"http://{pod.address}:{PATRONI_PORT}{path}", timeout=_TIMEOUT_SECONDS) as answer:
            return _json_or_none(answer.read(_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        # /patroni answers 503 with its state while Postgres is down: that is an answer.
        return _json_or_none(error.read(_ANSWER_BYTES))
    except OSError:
        return None


def _json_or_none(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None
