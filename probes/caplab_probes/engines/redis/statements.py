"""Commands of the Redis client: the one command of each operation, and the Lua scripts (pure)."""

from __future__ import annotations

import re
from typing import Any

from caplab.model.keys import run_number

from ...load.workloads import Operation, is_beat, run_of

Command = tuple[str | int | bytes, ...]

# WAIT's count after each write: how many replicas have it in memory. No server has more replicas here.
WRITE_LEVELS = tuple(f"wait-{count}" for count in range(1, 9))

# An older write that a time-out left behind must not undo a newer one of the same writer. Values have up to 63 bits and
# a Lua number has 53: they are compared as texts, without sign and leading zeros, so that the longer one is the bigger
# number, and of two equally long ones the later in the order of characters.
WRITE = """
    local was, new = redis.call('GET', KEYS[1]), ARGV[1]
    if was and (#was > #new or (#was == #new and was >= new)) then return 0 end
    redis.call('SET', KEYS[1], new)
    return 1 """
# By the server's own clock and replication id, in one step with the write: nothing comes in between.
BEAT = """
    local id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
    local now = redis.call('TIME')
    local micros = now[1] .. string.format('%06d', now[2])
    return redis.call('RPUSH', KEYS[1], id .. ' ' .. ARGV[1] .. ' ' .. micros) """

# Returns the value before ('': none). The write took effect if that is the expected one.
CAS = """
    local was = redis.call('GET', KEYS[1]) or ''
    if was == ARGV[2] then redis.call('SET', KEYS[1], ARGV[1]) end
    return was """

IDENTITY: Command = ("CLIENT", "INFO")
REPLICATION: Command = ("INFO", "replication")
# Prefixes of the keys of counters and ids: a scan of all registers of a run must not match them.
COUNTERS, _IDS = "counter/", "id/"
_ADDRESS = re.compile(rb"\bladdr=(\S+):\d+")


def command_of(operation: Operation) -> Command:
    """Return an operation's one command."""
    key, value = operation.key or "", operation.value or 0
    if operation.op == "add":
        # A list: a command that ran twice must show.
        return "RPUSH", _key("set", run_of(value)), value
    if is_beat(operation):
        return "EVAL", BEAT, 1, _key("clock", run_of(value)), value
    if operation.op == "write":
        return ("SET", key, value) if operation.workload == "register-multi" else ("EVAL", WRITE, 1, key, value)
    if operation.op == "cas":
        return "EVAL", CAS, 1, key, value, "" if operation.expected is None else operation.expected
    return _counting(operation, key)


def _counting(operation: Operation, key: str) -> Command:
    if operation.op == "incr":
        return "INCRBY", f"{COUNTERS}{key}", operation.value or 0
    if operation.op == "id":
        return "INCR", f"{_IDS}{key}"
    return "GET", f"{COUNTERS}{key}" if operation.workload == "counter" else key


def replicas_of(level: str | None) -> int:
    """Return how many replicas a write at a level waits for."""
    return int(level.removeprefix("wait-")) if level else 0


def wait_for(replicas: int, milliseconds: int) -> Command:
    """Return the command that waits until so many replicas have this connection's writes; it returns how many do."""
    return "WAIT", replicas, max(1, milliseconds)  # 0 would be without end


def set_page(run_id: str, first: int, count: int) -> Command:
    """Return the command that reads a part of a run's set."""
    return "LRANGE", _key("set", run_number(run_id)), first, first + count - 1


def address_in(reply: Any) -> str | None:
    """Return the server's own address from the reply to CLIENT INFO: behind a Service it is the pod's."""
    match = _ADDRESS.search(reply) if isinstance(reply, bytes) else None
    return match[1].decode() if match else None


def epoch_in(reply: Any) -> str | None:
    """Return the replication id from the reply to INFO replication; None if the role is not master."""
    if not isinstance(reply, bytes) or b"\nrole:master\r" not in reply:
        return None
    # Searched as bytes: it comes with every operation.
    return reply.partition(b"\nmaster_replid:")[2].partition(b"\r")[0].decode()


def _key(what: str, run: int) -> str:
    return f"caplab/{run:07x}/{what}"
