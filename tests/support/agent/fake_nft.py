"""A stand-in for nft without a kernel: keeps each namespace's tables, and prints them as nft 1.0.6 does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from caplab_agent.clock import Clock
from caplab_agent.commands import ProgramResult, Wait

_BLOCK = re.compile(r"set (\w+) \{ type \w+; flags timeout; elements = \{ (.*?) \}; \}")
_ELEMENT = re.compile(r"(\S+) timeout (\d+)ms")
_ABSENT = "Error: No such file or directory\nlist table inet x\n                ^\n"
_EXISTS = "Error: Could not process rule: File exists\ncreate table inet x\n                  ^\n"
COUNTER_MS = 2 * 3_600_000


@dataclass
class Table:
    """A table: for each set and address, time-out (ms) and since when (ns), and packets and since when (ns)."""

    dropped: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    counters: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)


@dataclass(kw_only=True)
class FakeNft:
    """A replacement for commands.start."""

    clock: Clock
    namespaces: dict[int, dict[str, Table]] = field(default_factory=dict)  # by inode
    calls: list[tuple[int, tuple[str, ...], str]] = field(default_factory=list)
    refuses: str = ""  # nft's error, if it refuses to do anything
    waits: Callable[[], object] = lambda: None  # before each program does anything

    def __call__(self, argv: Sequence[str], text: str = "", files: Sequence[int] = ()) -> Wait:
        assert argv[0] == "nsenter"
        assert argv[1] == f"--net=/proc/self/fd/{files[0]}"
        inode = os.fstat(files[0]).st_ino
        self.calls.append((inode, tuple(argv[2:]), text))
        self.waits()
        result = self._run(self.namespaces.setdefault(inode, {}), tuple(argv[2:]), text)
        return lambda: result

    @property
    def _ns(self) -> int:
        return self.clock.now().ns

    def texts(self) -> list[str]:
        return [text for _, _, text in self.calls if text]

    def drop(self, inode: int, address: str, packets: int, which: str = "in4") -> None:
        """Let packets arrive in every table of a namespace that drops this address."""
        for table in self.namespaces[inode].values():
            before, first = table.counters.setdefault(which, {}).get(address, (0, self._ns))
            table.counters[which][address] = before + packets, first

    def _run(self, tables: dict[str, Table], argv: tuple[str, ...], text: str) -> ProgramResult:
        if self.refuses:
            return ProgramResult(1, "", self.refuses)
        if argv == ("nft", "-f", "-"):
            return self._transaction(tables, text)
        name = argv[-1]
        if name not in tables:
            return ProgramResult(1, "", _ABSENT)
        printed = self._printed(name, tables[name])
        if argv[:2] == ("sh", "-c"):
            del tables[name]
        return ProgramResult(0, printed)

    def _transaction(self, tables: dict[str, Table], text: str) -> ProgramResult:
        lines = text.splitlines()
        name = re.search(r"caplab_\w+", text)
        assert name
        if lines[0].startswith("create table"):
            if name[0] in tables:
                return ProgramResult(1, "", _EXISTS)
            tables[name[0]] = Table()
        elif lines[0].startswith("table"):
            assert lines[1].startswith("delete table")
            tables[name[0]] = Table()
        elif name[0] not in tables:
            return ProgramResult(1, "", _ABSENT)
        self._fill(tables[name[0]], text)
        return ProgramResult(0)

    def _fill(self, table: Table, text: str) -> None:
        for set_name in re.findall(r"flush set inet \w+ (\w+)", text):
            table.dropped.pop(set_name, None)
        filled = _BLOCK.findall(text) + re.findall(r"add element inet \w+ (\w+) \{ (.*?) \}", text)
        for set_name, elements in filled:
            for address, timeout in _ELEMENT.findall(elements):
                table.dropped.setdefault(set_name, {})[address] = int(timeout), self._ns

    def _printed(self, name: str, table: Table) -> str:
        lines = [f"table inet {name} {{"]
        for set_name in ("drop_from4", "drop_from6", "drop_to4", "drop_to6"):
            elements = [
                f"{address} timeout {duration(timeout)} expires {duration(left)}"
                for address, (timeout, since) in table.dropped.get(set_name, {}).items()
                if (left := timeout - (self._ns - since) // 1_000_000) > 0
            ]
            lines += _printed_set(set_name, "flags timeout", elements)
        for set_name in ("in4", "in6", "out4", "out6"):
            elements = [
                f"{address} counter packets {packets} bytes {packets * 60} "
                f"expires {duration(COUNTER_MS - (self._ns - first) // 1_000_000)}"
                for address, (packets, first) in table.counters.get(set_name, {}).items()
            ]
            lines += _printed_set(set_name, "flags dynamic,timeout\n\t\ttimeout 2h", elements)
        chain = "type filter hook prerouting priority raw; policy accept;"
        return (
            "\n".join([*lines, "\tchain drop_in {", f"\t\t{chain}", "\t\tip saddr @drop_from4 drop", "\t}", "}"]) + "\n"
        )


def duration(milliseconds: int) -> str:
    """Format a duration as nft prints it: 1h59m59s384ms."""
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        number, milliseconds = divmod(milliseconds, size)
        text += f"{number}{unit}" if number else ""
    return text


def _printed_set(name: str, flags: str, elements: list[str]) -> list[str]:
    lines = [f"\tset {name} {{", f"\t\ttype ipv{name[-1]}_addr", f"\t\t{flags}"]
    if elements:
        lines.append("\t\telements = { " + ",\n\t\t\t     ".join(elements) + " }")
    return [*lines, "\t}", ""]
