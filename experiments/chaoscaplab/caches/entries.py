"""The entries of a cache in a RedisCluster's primary: find the hottest, expire them, remove them."""

from __future__ import annotations

from dataclasses import dataclass

from caplab.model.keys import CACHE_ENTRIES

from ..clusters.redis import ask, information, number
from ..server import Server

# ARGV: prefix, count. Returns key, frequency (LFU's logarithmic counter, 0 to 255) and PTTL of the entries read most.
_HOTTEST = """
    local cursor, entries = '0', {}
    repeat
        local reply = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*', 'COUNT', 1000)
        cursor = reply[1]
        for _, key in ipairs(reply[2]) do
            local often = redis.call('OBJECT', 'FREQ', key)
            if often then table.insert(entries, {key, often}) end
        end
    until cursor == '0'
    table.sort(entries, function(a, b) return a[2] > b[2] or (a[2] == b[2] and a[1] < b[1]) end)
    local lines = {}
    for place = 1, math.min(#entries, tonumber(ARGV[2])) do
        local key, often = unpack(entries[place])
        table.insert(lines, key .. ' ' .. often .. ' ' .. redis.call('PTTL', key))
    end
    return lines """
# ARGV: milliseconds. Returns how many of KEYS now have that long left.
_EXPIRE = """
    local count = 0
    for _, key in ipairs(KEYS) do count = count + redis.call('PEXPIRE', key, ARGV[1]) end
    return count """
# ARGV: prefix, milliseconds. The same for all entries, in one step: they expire at one moment.
_EXPIRE_ALL = """
    local cursor, count = '0', 0
    repeat
        local reply = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*', 'COUNT', 1000)
        cursor = reply[1]
        for _, key in ipairs(reply[2]) do count = count + redis.call('PEXPIRE', key, ARGV[2]) end
    until cursor == '0'
    return count """


@dataclass(frozen=True, slots=True)
class HotKey:
    """An entry: its key, how often it is read (LFU's logarithmic counter, 0 to 255), and how long it had left."""

    key: str
    frequency: int
    remaining_ms: int


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache in a primary's pod. Every method raises ExecFailed if the server refuses or cannot be asked."""

    server: Server
    namespace: str
    pod: str

    def hottest(self, count: int) -> list[HotKey]:
        """Find the entries read most. Raises ExecFailed also if the eviction policy counts no reads: only LFU does."""
        return [_hot(line) for line in self._eval(_HOTTEST, [], [CACHE_ENTRIES, str(count)])]

    def expire(self, keys: list[str], milliseconds: int) -> int:
        """Set the time that entries have left. Returns how many of them existed."""
        return number(self._eval(_EXPIRE, keys, [str(milliseconds)]))

    def expire_all(self, milliseconds: int) -> int:
        """Set the time that all entries have left, from one moment on. Returns how many there were."""
        return number(self._eval(_EXPIRE_ALL, [], [CACHE_ENTRIES, str(milliseconds)]))

    def empty(self) -> int:
        """Remove all keys. Returns how many there were."""
        there = self.size()
        ask(self.server, self.namespace, self.pod, "FLUSHALL", "ASYNC")
        return there

    def size(self) -> int:
        """Return the number of keys."""
        return number(ask(self.server, self.namespace, self.pod, "DBSIZE"))

    def expired(self) -> int:
        """Return how many keys have expired since the server started, by its own count."""
        return int(information(ask(self.server, self.namespace, self.pod, "INFO", "stats"))["expired_keys"])

    def _eval(self, script: str, keys: list[str], arguments: list[str]) -> list[str]:
        lines = ask(self.server, self.namespace, self.pod, "EVAL", script, str(len(keys)), *keys, *arguments)
        return [line for line in lines if line]


def _hot(line: str) -> HotKey:
    key, frequency, remaining_ms = line.rsplit(" ", 2)
    return HotKey(key, int(frequency), int(remaining_ms))
