"""What operation i of a probe is: a pure function of the run, the vantage, the seed and i.

A value says who wrote it: run, vantage, incarnation (one for each probe that a prober starts in a
run, and again after its death), and the operation's index, from the high bits down. So values are
unique across runs, grow for every writer, and a prober that was killed leaves no doubt about which
ones it may have sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from caplab.model.keys import RUN_BITS, key_prefix, run_number

from .mixing import mix
from .spec import ProbeSpec

VANTAGE_BITS, INCARNATION_BITS, INDEX_BITS = 5, 6, 26
assert RUN_BITS + VANTAGE_BITS + INCARNATION_BITS + INDEX_BITS == 63  # a signed bigint
INCARNATIONS = 1 << INCARNATION_BITS
REGISTERS = 16  # of one writer
CLOCK_KEY = "clock"  # of beats; a register's key has slashes
_READ_SHARE = 50  # per cent of a register workload


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, before it is sent; op and route are words of the history, level is one of the engine's."""

    index: int
    op: str
    route: str
    key: str | None = None
    value: int | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: a vantage by its place in the list, in one incarnation; ValueError when they are used up."""

    spec: ProbeSpec
    vantage: int
    incarnation: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.incarnation < INCARNATIONS:
            raise ValueError(f"The prober started {self.incarnation} probes in this run. Mend: begin a new run.")


def run_of(value: int) -> int:
    """The number of the run that a value is of."""
    return value >> (VANTAGE_BITS + INCARNATION_BITS + INDEX_BITS)


def is_beat(operation: Operation) -> bool:
    """Whether an operation is a beat of the workload clock."""
    return operation.key == CLOCK_KEY


def run_values(run_id: str) -> tuple[int, int]:
    """The first value that can be of a run, and the first beyond it."""
    low = run_number(run_id) << (VANTAGE_BITS + INCARNATION_BITS + INDEX_BITS)
    return low, low + (1 << (VANTAGE_BITS + INCARNATION_BITS + INDEX_BITS))


def value_of(writer: Writer, index: int) -> int:
    """What operation index writes; ValueError after 2^26 operations (93 hours at 200 a second)."""
    if not 0 <= index < 1 << INDEX_BITS:
        raise ValueError(f"Operation {index} has no value of its own left. Mend: begin a new run.")
    first = run_values(writer.spec.run_id)[0]
    who = writer.vantage << INCARNATION_BITS | writer.incarnation
    return first | who << INDEX_BITS | index


def index_of(value: int) -> int:
    """The index of the operation that wrote a value."""
    return value & ((1 << INDEX_BITS) - 1)


def key_of(spec: ProbeSpec, vantage: int, route: str, number: int) -> str:
    """A register of one writer: a probe's vantage on one route."""
    return f"{key_prefix(spec.run_id)}{spec.name}/{spec.vantages[vantage]}/{route}/{number}"


def operation(writer: Writer, index: int) -> Operation:
    """Operation index: routes take turns; a register workload writes its own keys and reads everybody's."""
    spec = writer.spec
    route = spec.routes[index % len(spec.routes)]
    level = spec.levels.write
    if spec.workload == "set":
        return Operation(index, "add", route, value=value_of(writer, index), level=level)
    if spec.workload == "clock":
        return Operation(index, "write", route, key=CLOCK_KEY, value=value_of(writer, index), level=level)
    draw = mix(spec.seed, writer.vantage, writer.incarnation, index)
    if draw % 100 < _READ_SHARE:
        return Operation(index, "read", route, key=_any_key(spec, route, draw // 100), level=spec.levels.read)
    # In turn, so that writes of one key are as far apart as can be.
    number = (index // len(spec.routes)) % REGISTERS
    key = key_of(spec, writer.vantage, route, number)
    return Operation(index, "write", route, key=key, value=value_of(writer, index), level=level)


def _any_key(spec: ProbeSpec, route: str, draw: int) -> str:
    """A register of any vantage, written on the same route as it is read."""
    return key_of(spec, draw % len(spec.vantages), route, draw // len(spec.vantages) % REGISTERS)
