"""The text of `caplab check`: a line for each checker, the shortest proofs, and with --verbose everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.checkers.commands import FEW, RunCheck, stored
from support.checkers.histories import Row, adds, operation, scan

from caplab import check

CLEAN = adds([1, 2, 3]) + scan([1, 2, 3])
LOST = adds(range(10, 50)) + scan(range(20, 50), route="service", server="pg-1", epoch="17")


def test_there_is_a_line_for_each_checker_and_one_for_those_that_do_not_apply(
    run_check: RunCheck, tmp_path: Path
) -> None:
    code, out, _ = run_check(stored(tmp_path / "h.csv", CLEAN, FEW))
    left_out = [name for name in check.CHECKERS if name != "durability"]
    title, empty, durability, *rest = out.splitlines()
    assert (code, title, empty) == (0, "h.csv (CSV): 6 operations, holds", "")
    assert durability == "durability  holds     All 3 acked elements are there, once, and nothing else is."
    assert " ".join(map(str.strip, rest)) == f"not applicable: {', '.join(left_out)} (why: --verbose)"


def test_verbose_has_every_figure_and_why_a_checker_does_not_apply(run_check: RunCheck, tmp_path: Path) -> None:
    _, out, _ = run_check(stored(tmp_path / "h.csv", CLEAN, FEW), "--verbose")
    lines = out.splitlines()
    assert lines[0] == "h.csv (CSV): 6 operations; times are seconds from the first operation"
    assert "durability: holds" in lines
    assert "attempted 3 · acked 3 · survived 3 · lost 0" in out
    assert "overall: holds" in lines
    assert "  counters does not apply: no operation is an incr" in lines
    assert any(line.startswith("not applicable: staleness, ") for line in lines)


def test_a_violation_is_shown_with_the_operations_that_prove_it(run_check: RunCheck, tmp_path: Path) -> None:
    key = "k" * 90 + "\x1b[31m"
    rows = [operation(0, key=key, value=2**62), operation(5, op="read", key=key, value=None)]
    rows += adds(range(10, 50), first_ms=10) + scan(range(20, 50), route="service", server="pg-1", epoch="17")
    path = stored(tmp_path / "h.parquet", rows)
    code, out, err = run_check(path)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "h.parquet (Parquet): 72 operations, VIOLATED; times are seconds from the first operation"
    assert "durability    VIOLATED  Of 40 acked elements: 10 lost." in lines
    assert "  1. The value 10 was acked, and the final scan does not have it." in lines
    header = lines.index("     row  client  operation  outcome   invoked  returned")
    assert lines[header + 2] == "       3  a/2     add = 10   ok       0.010000  0.012000"
    assert "  and 7 more (--verbose shows more, --json all)" in lines
    assert "  and 5 more (--json has them)" in run_check(path, "--verbose")[1].splitlines()
    assert max(map(len, lines)) <= 110
    assert out.isprintable() or all(line.isprintable() for line in lines)


def increments(count: int) -> list[Row]:
    """Make increments of a counter, and a read of more than these could add."""
    rows = [operation(10 * number, op="incr", key="n", value=1) for number in range(count)]
    return [*rows, operation(10 * count, op="read", key="n", value=100)]


def test_a_long_witness_is_folded_but_for_verbose(run_check: RunCheck, tmp_path: Path) -> None:
    path = stored(tmp_path / "h.csv", increments(39), FEW)
    _, out, _ = run_check(path, "--checker", "counters")
    assert out.count(" incr n = 1 ") == 10
    assert ["...", "29", "more"] in map(str.split, out.splitlines())
    assert run_check(path, "--checker", "counters", "--verbose")[1].count(" incr n = 1 ") == 39


def test_a_witness_of_twelve_operations_is_not_folded(run_check: RunCheck, tmp_path: Path) -> None:
    _, out, _ = run_check(stored(tmp_path / "h.csv", increments(11), FEW), "--checker", "counters")
    assert out.count(" incr n = 1 ") == 11
    assert "..." not in out


def test_times_that_are_only_an_order_are_shown_as_one(run_check: RunCheck, tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_text(
        "session,op,key,value,invoke_ns,return_ns,outcome\n"
        "1,write,x,1,0,1,ok\n2,write,x,2,2,5,ok\n3,write,x,9,3,,info\n1,read,x,1,6,7,ok\n"
    )
    _, out, _ = run_check(path, "--checker", "registers")
    assert out.splitlines()[0] == "h.csv (CSV): 4 operations, VIOLATED; its operations have an order but no times"
    assert [line.split() for line in out.splitlines()[-6:]] == [
        ["1.", "1", "was", "seen", "on", "key", "'x'", "after", "2", "had", "been", "written", "over", "it."],
        ["row", "client", "operation", "outcome", "order"],
        ["---", "--------", "-----------", "-------", "------"],
        ["1", "client/1", "write", "x", "=", "1", "ok", "0", "to", "1"],
        ["2", "client/2", "write", "x", "=", "2", "ok", "2", "to", "5"],
        ["4", "client/1", "read", "x:", "1", "ok", "6", "to", "7"],
    ]


@pytest.mark.parametrize(("keys", "says"), [(1, "1 of 1 key is not"), (2, "2 of 2 keys are not"), (0, "all 1, in 1")])
def test_numbers_and_their_nouns_agree(keys: int, says: str, run_check: RunCheck, tmp_path: Path) -> None:
    rows = [operation(0, key="y", value=5)] if not keys else []
    rows += [operation(10 * key, op="read", key=f"x{key}", value=1) for key in range(keys)]
    assert says in run_check(stored(tmp_path / "h.csv", rows, FEW), "--checker", "registers")[1]


def test_without_a_clock_no_sentence_has_a_time(run_check: RunCheck, tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_text(
        "session,op,key,value,invoke_ns,return_ns,outcome\n"
        "1,write,x,1,0,1,ok\n2,write,x,2,2,3,ok\n1,read,x,1,6000,6001,ok\n"
    )
    rows = path.read_text().splitlines()
    rows[1:] = [*rows[1:], *(f"1,read,x,2,{7000 + 2 * number},{7001 + 2 * number},ok" for number in range(20))]
    path.write_text("\n".join(rows) + "\n")
    _, out, _ = run_check(path, "--checker", "staleness")
    assert "  1. A read of 'x' returned 1, though 2 had been acked before." in out.splitlines()


def test_what_a_counter_shows_is_told_in_one_sentence(run_check: RunCheck, tmp_path: Path) -> None:
    _, out, _ = run_check(stored(tmp_path / "h.csv", increments(3), FEW), "--checker", "counters")
    assert "counters  VIOLATED  Of 1 read of counters 1 shows more than was added (up to 97)." in out
