"""python3 -m caplab_cluster.node_loss.watchdog FOLDER ID: brings one node back when its time is over.

It is started before the node is taken away. It goes into the background by itself, in a session of its own: what ends
the process that started it does not end it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from ..failure import Failure
from .recovery import bring_back
from .store import Clock, NodeLoss, NodeLossStore

_POLL_SECONDS = (
    0.25  # between two reads of the record: the taker sets when the node is due, and a healer that it is over
)
_RETRY_SECONDS = 2.0  # after the engine refused
_GIVE_UP_SECONDS = 3600.0  # past its time
_LOCK_SECONDS = 2.0  # for the lock; when a node is due, only a stopped process can still hold it


def watch(store: NodeLossStore, loss: NodeLoss, clock: Clock) -> None:
    """Return when the node is back, no matter which process did it; a lost record is no reason to leave it away."""
    while not loss.over:
        left = loss.left_seconds(clock)
        if left > 0:
            clock.sleep(min(left, _POLL_SECONDS))
        elif left < -_GIVE_UP_SECONDS:
            return
        else:
            loss = _try_bring_back(store, loss, clock)
        loss = _reread(store, loss)


def _try_bring_back(store: NodeLossStore, loss: NodeLoss, clock: Clock) -> NodeLoss:
    try:
        return bring_back(store, loss, clock, _LOCK_SECONDS)
    except (Failure, OSError) as error:
        print(f"{loss.id}: {error}", flush=True)
        clock.sleep(_RETRY_SECONDS)
        return loss


def _reread(store: NodeLossStore, loss: NodeLoss) -> NodeLoss:
    try:
        return store.get(loss.id) or loss
    except Failure:
        return loss


def main(arguments: list[str]) -> None:
    """Return at once in the process that was started; its child watches, and ends itself."""
    store = NodeLossStore(Path(arguments[0]))
    loss = store.get(arguments[1])
    if loss is None:
        sys.exit(f"There is no record {arguments[1]} in {store.folder}.")
    if os.fork():
        return
    os.setsid()
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _redirect(store.folder / "watchdog.log")
    watch(store, loss, Clock())
    os._exit(0)


def _redirect(log: Path) -> None:
    """Redirect its output from the pipes of its parent, which waits for their end."""
    devnull = os.open(os.devnull, os.O_RDONLY)
    log_file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, file in enumerate((devnull, log_file, log_file)):
        os.dup2(file, number)


if __name__ == "__main__":
    main(sys.argv[1:])
