"""`caplab faults` and `caplab heal`: Fault objects through the API server, lost nodes by the notes of this host."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime

from caplab_cluster.failure import Failure
from caplab_cluster.node_back import bring_back
from caplab_cluster.node_notes import Notes
from caplab_cluster.paths import Cache

from caplab.kube import ContextRefused, pinned
from caplab.plain_text import plural

from .healing import AGENT_STARTS_SECONDS, Api, Bounds, Healing, Say
from .listing import NOTHING, table
from .objects import Objects, said
from .rows import row_of, row_of_node

SOMETHING_LEFT = 3  # exit code; also where it is not known


def faults(every: bool, say: Say, complain: Say) -> int:
    """Say what is live, with every what is over too; the exit code."""
    rows, problems = [], []
    now = datetime.now(UTC)
    try:
        rows += [row_of(fault, now) for fault in _api().all()]
    except Exception as error:
        problems.append(_not_known("What Faults there are", error))
    try:
        rows += [row_of_node(loss.to_json(), now) for loss in _notes().all()]
    except Failure as failure:
        problems.append(_with_mend(failure))
    for line in table(rows, every):
        if line != NOTHING or not problems:  # who does not know all cannot say so
            say(line)
    for problem in problems:
        complain(f"FAILED: {problem}")
    return SOMETHING_LEFT if problems else 0


def heal(say: Say, complain: Say, bounds: Bounds | None = None) -> int:
    """End everything that is live, and say what is left; the exit code."""
    healing, left = None, []
    try:
        api = _api()
        healing = Healing(api, say, bounds)
        say(f"{plural(healing.delete_all(), 'Fault')} deleted")
    except Exception as error:
        healing = None
        left.append(_not_known("What Faults there are", error))
    away, still_away = bring_nodes_back(_notes(), say)  # the agents on them have to answer
    left += still_away
    if healing:
        try:
            left += healing.await_all(AGENT_STARTS_SECONDS if away else 0.0)
        except Exception as error:
            left.append(_not_known("Whether the Faults have ended", error))
    for sentence in left:
        complain(f"LEFT: {sentence}")
    known = "not everything has ended" if healing or still_away else "whether everything has ended is not known"
    say(known if left else "all has ended")
    return SOMETHING_LEFT if left else 0


def bring_nodes_back(notes: Notes, say: Say, say_seconds: float = 2.0) -> tuple[int, list[str]]:
    """Bring back every node that is away: how many were, and a sentence with its mend for each that stays away."""
    try:
        lost = notes.live()
    except Failure as failure:
        return 0, [_with_mend(failure)]
    say(f"{plural(len(lost), 'lost node')}{': ' if lost else ''}{', '.join(loss.node for loss in lost)}")
    with ThreadPoolExecutor(max(1, len(lost))) as pool:
        tries = {pool.submit(bring_back, notes, loss): loss for loss in lost}
        seconds = 0.0
        while waiting := wait(tries, say_seconds).not_done:
            seconds += say_seconds
            say(f"  waiting for {', '.join(sorted(tries[one].node for one in waiting))} ... {seconds:.0f} s")
    left = []
    for one, loss in tries.items():
        error = one.exception()
        if error is None:
            say(f"  node {loss.node}: {one.result().problem or 'runs again'}")
        else:
            left.append(_with_mend(error))
    return len(lost), left


def _not_known(what: str, error: Exception) -> str:
    if isinstance(error, ContextRefused):  # it names its mend itself
        return f"{what} is not known: {error}"
    return f"{what} is not known: {said(error)}. Mend: see whether the cluster is up (make status), then repeat."


def _with_mend(error: BaseException) -> str:
    return f"{error} Mend: {error.mend if isinstance(error, Failure) else 'repeat.'}"


def _notes() -> Notes:
    return Notes.of(Cache.from_environment())


def _api() -> Api:
    return Objects(pinned().api)
