"""Fill a Redis primary with keys until it has no memory left, and remove them again."""

from __future__ import annotations

from dataclasses import dataclass

from caplab.kube.errors import ExecFailed

from ..server import Server
from .redis import ask, information, number

_PREFIX = "caplab-filler/"
_CHUNK, _BYTES = 500, 10_000  # keys in one step, during which no client is served; bytes of each
_MAX_CHUNKS = 400  # 2 GB
# Each eviction hits a given key with probability 1/keys: after this many times the keys, almost no old key is left.
_TIMES_OVER = 6
_SPARE_SECONDS = 30  # fillers expire by themselves this long after the requested time
# ARGV: prefix, first number, count, bytes, seconds. Returns how many were written: what does not fit is refused.
_FILL = """
    local text, written = string.rep('x', tonumber(ARGV[4])), 0
    for number = tonumber(ARGV[2]), tonumber(ARGV[2]) + tonumber(ARGV[3]) - 1 do
        local done = redis.pcall('SET', ARGV[1] .. number, text, 'EX', ARGV[5])
        if type(done) == 'table' and done.err then return written end
        written = written + 1
    end
    return written """
_EMPTY = """
    local cursor, gone = '0', 0
    repeat
        local reply = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*', 'COUNT', 1000)
        cursor = reply[1]
        for _, key in ipairs(reply[2]) do gone = gone + redis.call('UNLINK', key) end
    until cursor == '0'
    return gone """


class NotFull(Exception):
    """The memory did not run out; the message says how much was written."""


@dataclass(frozen=True, slots=True)
class FillResult:
    """The result of a fill.

    keys: fillers written. evicted_keys: evicted keys of any kind, by the server's own count. refused: whether writes
    are refused now.
    """

    keys: int
    evicted_keys: int
    refused: bool

    def sentence(self) -> str:
        """Return the result as a sentence of evidence."""
        what = "then writes were refused" if self.refused else f"{self.evicted_keys} keys were evicted"
        return f"{self.keys} keys of {_BYTES} B were written; {what}"


def fill(server: Server, namespace: str, pod: str, seconds: int) -> FillResult:
    """Write until writes are refused, or until everything older has probably been evicted.

    Raises ExecFailed if the server does not answer, NotFull if neither happens.
    """
    evicted_before = _evicted(server, namespace, pod)
    keys = 0
    for chunk in range(_MAX_CHUNKS):
        written = number(
            ask(
                server, namespace, pod, "EVAL", _FILL, "0",
                _PREFIX, str(chunk * _CHUNK), str(_CHUNK), str(_BYTES), str(seconds + _SPARE_SECONDS),
            )
        )  # fmt: skip
        keys += written
        evicted = _evicted(server, namespace, pod) - evicted_before
        if written < _CHUNK:
            return FillResult(keys, evicted, refused=True)
        there = number(ask(server, namespace, pod, "DBSIZE"))
        if evicted > _TIMES_OVER * there:
            return FillResult(keys, evicted, refused=False)
    raise NotFull(f"{keys} keys of {_BYTES} B were written in vain. Hint: give the cluster a smaller maxMemory.")


def empty(server: Server, namespace: str, pod: str) -> None:
    """Remove the fillers. If the server does not answer, they are left to expire."""
    try:
        ask(server, namespace, pod, "EVAL", _EMPTY, "0", _PREFIX)
    except ExecFailed:
        return


def _evicted(server: Server, namespace: str, pod: str) -> int:
    return int(information(ask(server, namespace, pod, "INFO", "stats"))["evicted_keys"])
