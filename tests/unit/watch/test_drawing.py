"""The picture of `caplab watch` as it is drawn, narrow and wide, with and without colour, high and low."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from support.objects.listed_faults import NOW, entry, listed
from support.runs.watched_lab import cluster, metrics, run

from caplab.contract.engines import CASSANDRA, POSTGRES, REDIS
from caplab.watch import sparkline
from caplab.watch.drawing import Paper, drawn
from caplab.watch.figures import counts_of
from caplab.watch.objects import cluster_of, latest_runs, live_faults
from caplab.watch.traffic import Traffic
from caplab.watch.values import Column, Picture, RouteLine, SourceState, State

BOTH = pytest.mark.parametrize("width", [80, 200])
API, OPERATOR, HOST = SourceState("API server"), SourceState("operator"), SourceState("this host")
SILENT = SourceState("prober c", "timed out", 12.0)


def routes(paper: Paper, silent: tuple[str, ...] = ()) -> tuple[RouteLine, ...]:
    """A minute of three vantages, in which writes were out for 12 s until 40 s ago; who is silent is since 20 s."""
    lines = []
    for vantage in "abc":
        traffic, ok, info = Traffic(), 0, 0
        for second in range(81 if vantage in silent else 101):
            is_out = 48 <= second < 60
            ok, info = (ok, info + 20) if is_out else (ok + 20, info)
            of_writes = metrics(vantage, ok=ok, info=info, since=second - 48 if is_out else 0.1)
            traffic.add(1000 + second, counts_of(of_writes + metrics(vantage, op="read", ok=50 * second)))
        lines += traffic.lines(1100.6, paper.columns, paper.column_seconds)
    return tuple(lines)


def picture(paper: Paper, *, silent: tuple[str, ...] = ()) -> Picture:
    return Picture(
        place="context kind-caplab at https://127.0.0.1:6443, a kind cluster with the lab in it",
        now_unix=NOW.timestamp(),
        api_server=API,
        operator=OPERATOR,
        probers=tuple(SILENT if vantage in silent else SourceState(f"prober {vantage}") for vantage in "abc"),
        host=HOST,
        clusters=(
            cluster_of(POSTGRES, cluster()),
            cluster_of(REDIS, cluster("rd", primary="", epoch="8f3a" * 10, phase="Degraded")),
            cluster_of(CASSANDRA, cluster("cs", primary="", epoch=None)),
        ),
        faults=tuple(live_faults([listed(entry("pg-0", proven=True))], NOW)),
        runs=tuple(
            latest_runs(
                [
                    run(minute=50, failoverSeconds=20.459, lost=0, acked=3805),
                    run("r-2", verdict="invalid", minute=20, failoverSeconds=1.0, lost=7, acked=100),
                    run("r-3", phase="Running", minute=59),
                ],
                8,
            )
        ),
        column_seconds=paper.column_seconds,
        routes=routes(paper, silent),
    )


def text(picture: Picture, paper: Paper) -> list[str]:
    return [line.plain.rstrip() for line in drawn(picture, paper)]


def line_with(lines: list[str], *words: str) -> str:
    (line,) = [line for line in lines if all(word in line for word in words)]
    return line


@BOTH
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    paper = Paper(width)
    assert all(line.cell_len <= width for line in drawn(picture(paper, silent=("c",)), paper))


@BOTH
def test_everything_is_told(width: int) -> None:
    paper = Paper(width)
    lines = text(picture(paper), paper)
    assert "context kind-caplab" in "\n".join(lines[:2])
    assert "12:00:00 UTC" in lines[0]
    assert line_with(lines, "answering").endswith("API server, operator, prober a, prober b, prober c, this host")
    of_postgres = line_with(lines, "postgres ", "lab/pg", "Ready")
    assert "epoch 3" in of_postgres
    assert ("3/3" in of_postgres) == (width == 200)
    assert ("pg-2@c*" if width == 200 else " 2*") in of_postgres
    assert "no primary" in line_with(lines, "redis", "Degraded", "epoch 8f3a8f3a ")
    assert "primary" not in line_with(lines, "cassandra")
    assert line_with(lines, "Active", "10 s left", "proven", "kill of pg-0", "primary of pg")
    assert line_with(lines, "AS PROMISED", "9 min", "postgres/kill-primary quorum", "out 20.5 s", "lost 0 of 3,805")
    assert line_with(lines, "PROMISE BROKEN", "39 min", "lost 7 of 100")
    assert line_with(lines, "RUNNING", "60 s", "postgres/kill-primary")


@BOTH
def test_an_outage_is_a_hole_in_the_line_of_its_route(width: int) -> None:
    paper = Paper(width)
    lines = text(picture(paper), paper)
    writes = line_with(lines, "b ", "service", "write")
    holes = -(-12 // paper.column_seconds)
    assert holes <= writes.count("▁") <= holes + 2
    assert holes - 2 <= writes.count("x") <= holes
    assert "100 %" in writes
    assert not set(line_with(lines, "b ", "service", "read")) & set("▁x?")


@BOTH
def test_a_silent_prober_is_unknown_and_no_stale_green(width: int) -> None:
    paper = Paper(width)
    lines = text(picture(paper, silent=("c",)), paper)
    assert line_with(lines, "unknown: prober c does not answer, for 12 s: timed out")
    assert "prober c" not in line_with(lines, "answering")
    writes = line_with(lines, "c ", "service", "write")
    assert "%" not in writes
    assert writes.count("?") >= 2 + 2 * (18 // paper.column_seconds)
    assert "?" not in line_with(lines, "b ", "service", "write")


@BOTH
@pytest.mark.parametrize("who", ["api_server", "operator"])
def test_what_a_silent_api_server_or_operator_said_is_marked_as_unknown(width: int, who: str) -> None:
    paper = Paper(width)
    silent = SourceState("operator" if who == "operator" else "API server", "refused", 75.0)
    lines = text(replace(picture(paper), **{who: silent}), paper)  # type: ignore[arg-type]
    assert line_with(lines, "CLUSTERS", f"unknown: as of 75 s ago, when the {silent.name} last answered")
    of_postgres = line_with(lines, "postgres ", "lab/pg", "unknown")
    assert "Ready" not in of_postgres
    assert "epoch 3?" in of_postgres
    assert "2*?" in of_postgres or "pg-2@c*?" in of_postgres
    assert "Active" not in line_with(lines, "kill of pg-0")
    assert line_with(lines, "LIVE FAULTS", "unknown")


def test_what_was_never_known_is_neither_none_nor_something() -> None:
    paper = Paper(80)
    api_server = SourceState("API server", "refused", None)
    nothing = Picture(place="", now_unix=0.0, api_server=api_server, operator=OPERATOR, probers=(), host=HOST)
    lines = text(nothing, paper)
    assert line_with(lines, "unknown: API server does not answer, from the start: refused")
    assert lines.count("?") == 4
    assert "none" not in lines
    assert not nothing.is_whole


def test_a_lab_without_anything_says_so() -> None:
    probers = (SourceState("prober a"),)
    nothing = Picture(place="", now_unix=0.0, api_server=API, operator=OPERATOR, probers=probers, host=HOST)
    assert nothing.is_whole
    assert [line for line in text(nothing, Paper(80)) if line in ("none", "no load")] == [
        "none",
        "none",
        "no load",
        "none",
    ]
    without = text(replace(nothing, probers=()), Paper(80))
    assert line_with(without, "there is no prober")
    assert "no load" not in without


@pytest.mark.parametrize("height", [24, 30, 40, 100])
def test_a_low_terminal_shows_what_is_in_trouble_and_says_what_is_left_out(height: int) -> None:
    paper = Paper(80, height)
    lines = text(picture(paper, silent=("c",)), paper)
    assert len(lines) <= height
    for words in (
        ("postgres ", "lab/pg", "Ready"),
        ("kill of pg-0",),
        ("unknown: prober c",),
        ("a ", "service", "write"),
    ):
        assert line_with(lines, *words)
    assert any(line.endswith(" more)") for line in lines) == (height < 30)


def test_a_terminal_of_hardly_any_size_gets_as_much_as_there_is_room_for() -> None:
    for width, height in ((1, 1), (10, 5), (30, 10)):
        paper = Paper(width, height)
        lines = drawn(picture(paper), paper)
        assert len(lines) <= height
        assert all(line.cell_len <= width for line in lines)


def printed(paper: Paper, encoding: str = "utf-8", **console: object) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    out = Console(file=file, width=paper.width, force_terminal=True, color_system="standard", **console)  # type: ignore[arg-type]
    for line in drawn(picture(paper, silent=("c",)), paper):
        out.print(line)
    file.flush()
    return raw.getvalue().decode(encoding)


def test_without_colour_the_same_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in printed(Paper(80))
    monkeypatch.setenv("NO_COLOR", "1")
    plain = printed(Paper(80))
    assert not any(f"\x1b[{code}" in plain for code in ("31", "32", "33", "35", "36", "1;3"))
    assert "unknown" in plain


def test_a_terminal_without_unicode_gets_ascii() -> None:
    text = printed(Paper(80, None, sparkline.ASCII), "ascii")
    assert "#####" in text
    assert "_" in text


def test_a_spark_is_full_only_where_all_was_acknowledged() -> None:
    columns = [Column(State.MEASURED, ratio) for ratio in (0.0, 0.001, 0.5, 0.999, 1.0)]
    assert sparkline.ratios(columns).plain == "▁▂▅▇█"
    columns = [Column(State.MEASURED, 1.0, seconds) for seconds in (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 30.0, 99.0)]
    assert list(sparkline.latencies(columns).plain) == sorted(sparkline.latencies(columns).plain)
    assert sparkline.latencies(columns).plain[0] == "▁"
    assert sparkline.latencies(columns).plain[-2:] == "██"
    nothing = [Column(State.BEFORE), Column(State.UNKNOWN), Column(State.IDLE), Column(State.MEASURED, 0.0)]
    assert sparkline.ratios(nothing).plain == " ?·▁"
    assert sparkline.latencies(nothing).plain == " ?·x"


@pytest.mark.parametrize(
    ("seconds", "says"), [(9, "1 s left"), (10, "0 s left"), (10.9, "0 s left"), (11, "1 s late"), (52, "42 s late")]
)
def test_a_fault_that_is_past_its_time_is_late(seconds: float, says: str) -> None:
    paper = Paper(80)
    rows = live_faults([listed(entry())], NOW + timedelta(seconds=seconds))
    assert line_with(text(replace(picture(paper), faults=tuple(rows)), paper), "kill of pg-0", says)


def test_a_long_namespace_hides_neither_a_clusters_name_nor_who_is_away() -> None:
    paper = Paper(80)
    body = cluster("pg", epoch=12)
    body["metadata"]["namespace"] = "caplab-experiments-of-mine"
    body["status"]["members"][0] |= {"ready": False, "state": "silent"}
    lines = text(replace(picture(paper), clusters=(cluster_of(POSTGRES, body),)), paper)
    assert line_with(lines, "postgres  caplab-experi…/pg ", "0(silent) 1 2*")
    del body["status"]["members"][1:]
    lines = text(replace(picture(paper), clusters=(cluster_of(POSTGRES, body),)), paper)
    assert line_with(lines, "/pg ", "0/3", "0(silent)")


def test_control_codes_in_objects_do_not_reach_the_terminal() -> None:
    paper = Paper(200)
    bad = "\x1b[2J\u202e"
    body = cluster(phase=f"Ready{bad}")
    body["status"]["members"][0] |= {"state": bad, "ready": False}
    body["status"]["conditions"] = [{"type": "Ready", "status": "False", "message": f"pg-0{bad} is away"}]
    failed = run(phase="Failed", verdict="unknown")
    failed["status"]["reasons"] = [bad]
    unprintable = listed(entry(f"pg-0{bad}"), what={"partition": {"from": bad}})
    shown = replace(
        picture(paper),
        clusters=(cluster_of(POSTGRES, body),),
        runs=tuple(latest_runs([failed], 1)),
        faults=tuple(live_faults([unprintable], datetime.now(UTC))),
    )
    assert all(line.isprintable() for line in text(shown, paper))
