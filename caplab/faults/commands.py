"""`caplab faults` and `caplab heal`: Fault objects through the API server, lost nodes by this host's records."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime

from caplab_cluster.failure import Failure
from caplab_cluster.node_loss.recovery import bring_back
from caplab_cluster.node_loss.store import NodeLossStore
from caplab_cluster.paths import Cache

from caplab.kube.context import ContextRefused, pinned
from caplab.kube.errors import reason_of
from caplab.plain_text import plural

from .healing import AGENT_STARTS_SECONDS, Api, Bounds, Healing, PrintLine
from .listing import NOTHING, table
from .objects import Objects
from .rows import row_of, row_of_node

SOMETHING_LEFT = 3  # exit code; also if it is not known


def faults(every: bool, print_line: PrintLine, print_error: PrintLine) -> int:
    """Print what is live, with `every` also what is over; return the exit code."""
    rows, problems = [], []
    now = datetime.now(UTC)
    try:
        rows += [row_of(fault, now) for fault in _api().all()]
    except Exception as error:
        problems.append(_not_known("The list of Faults", error))
    try:
        rows += [row_of_node(loss.to_json(), now) for loss in _store().all()]
    except Failure as failure:
        problems.append(_with_hint(failure))
    for line in table(rows, every):
        if line != NOTHING or not problems:  # without the whole list, that is not known
            print_line(line)
    for problem in problems:
        print_error(f"FAILED: {problem}")
    return SOMETHING_LEFT if problems else 0


def heal(print_line: PrintLine, print_error: PrintLine, bounds: Bounds | None = None) -> int:
    """End everything that is live, and print what is left; return the exit code."""
    healing, left = None, []
    try:
        api = _api()
        healing = Healing(api, print_line, bounds)
        print_line(f"{plural(healing.delete_all(), 'Fault')} deleted")
    except Exception as error:
        healing = None
        left.append(_not_known("The list of Faults", error))
    away, still_away = bring_nodes_back(_store(), print_line)  # their agents have to answer
    left += still_away
    if healing:
        try:
            left += healing.await_all(AGENT_STARTS_SECONDS if away else 0.0)
        except Exception as error:
            left.append(_not_known("Whether the Faults have ended", error))
    for sentence in left:
        print_error(f"LEFT: {sentence}")
    summary = "not everything has ended" if healing or still_away else "whether everything has ended is not known"
    print_line(summary if left else "everything has ended")
    return SOMETHING_LEFT if left else 0


def bring_nodes_back(
    store: NodeLossStore, print_line: PrintLine, progress_seconds: float = 2.0
) -> tuple[int, list[str]]:
    """Bring back every lost node; return how many were lost, and a sentence with its hint for each that stays away."""
    try:
        lost = store.live()
    except Failure as failure:
        return 0, [_with_hint(failure)]
    print_line(f"{plural(len(lost), 'lost node')}{': ' if lost else ''}{', '.join(loss.node for loss in lost)}")
    with ThreadPoolExecutor(max(1, len(lost))) as pool:
        tries = {pool.submit(bring_back, store, loss): loss for loss in lost}
        seconds = 0.0
        while waiting := wait(tries, progress_seconds).not_done:
            seconds += progress_seconds
            print_line(
                f"  waiting for {', '.join(sorted(tries[attempt].node for attempt in waiting))} ... {seconds:.0f} s"
            )
    left = []
    for attempt, loss in tries.items():
        error = attempt.exception()
        if error is None:
            print_line(f"  node {loss.node}: {attempt.result().problem or 'runs again'}")
        else:
            left.append(_with_hint(error))
    return len(lost), left


def _not_known(what: str, error: Exception) -> str:
    if isinstance(error, ContextRefused):  # it names its hint itself
        return f"{what} is not known: {error}"
    return f"{what} is not known: {reason_of(error)}. Hint: check that the cluster is up (make status), then repeat."


def _with_hint(error: BaseException) -> str:
    return f"{error} Hint: {error.hint if isinstance(error, Failure) else 'repeat.'}"


def _store() -> NodeLossStore:
    return NodeLossStore.of(Cache.from_environment())


def _api() -> Api:
    return Objects(pinned().client)
