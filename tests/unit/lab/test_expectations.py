from __future__ import annotations

from pathlib import Path

import pytest

from caplab.check import PROPERTIES
from caplab.files.expectations_file import parse, read
from caplab.model.budgets import BudgetError, check, evaluate, names
from caplab.model.expectations import Promise, PropertyExpectation
from caplab.model.fields import FieldError, Json

TABLE = Path(__file__).parents[3] / "experiments" / "expectations.yaml"
SETTINGS: dict[str, Json] = {
    "ttl": 20,
    "loopWait": "5s",
    "downAfterMilliseconds": 1500,
    "slots": "3",
    "lag": "1MiB",
    "on": True,
}
ROW = """
rows:
  - engine: postgres
    mode: async
    fault: kill-primary
    {properties}
    why: because
    source: the manual
"""


def row(properties: str) -> str:
    return ROW.replace("{properties}", properties)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("ttl + loopWait + 2s", 27),
        ("ttl+2*loopWait", 30),
        ("max(ttl, 2 * loopWait) - 500ms", 19.5),
        ("min(ttl, loopWait, 1m)", 5),
        ("downAfter + 1h", 3601.5),
        ("lag / 100B", 10485.76),
        ("lag + 1KiB", 1049600),
        ("(ttl - 1.5s) / slots", 18.5 / 3),
        ("-ttl + 30", 10),
    ],
)
def test_a_budget_is_a_sum_over_settings(expression: str, value: float) -> None:
    check(expression)
    assert evaluate(expression, SETTINGS) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression",
    [
        *["ttl **2", "ttl // 2", "__import__('os')", "ttl.real", "ttl if ttl else 2", "[ttl]", "ttl < 3", "'ttl'"],
        *["abs(ttl)", "min()", "max(*ttl)", "max(ttl, key=ttl)", "ttl +", "", "2x + ttl", "True + ttl", "ttl; ttl"],
        *["lambda: ttl", "~ttl", "ttl + 2j", "ttl + " * 60 + "1s"],
    ],
)
def test_what_is_no_such_sum_is_refused_unevaluated(expression: str) -> None:
    with pytest.raises(BudgetError):
        check(expression)
    with pytest.raises(BudgetError):
        evaluate(expression, SETTINGS)


def test_a_budget_says_which_settings_it_names() -> None:
    assert names("max(ttl, loopWait) + 2s") == {"ttl", "loopWait"}
    with pytest.raises(BudgetError):
        names("ttl +")


def test_a_bare_number_is_no_budget() -> None:
    for bare in ("30s", "2 * 15", "max(3s, 5s)"):
        with pytest.raises(BudgetError, match="bare number"):
            check(bare)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("ttl + retryTimeout", "names 'retryTimeout', which is not among the settings in force"),
        ("ttl / (ttl - 20)", "divides by zero"),
        ("ttl * 1e999", "not finite"),
        ("on + ttl", "'on' is True, which is not a number"),
    ],
)
def test_a_budget_that_these_settings_cannot_answer_says_why(expression: str, says: str) -> None:
    with pytest.raises(BudgetError, match=says):
        evaluate(expression, SETTINGS)


def test_the_table_has_postgres_kills_and_controls_in_both_modes() -> None:
    table = read(TABLE)
    for mode in ("async", "quorum"):
        assert table.find("postgres", mode, "kill-primary").name == f"postgres {mode} kill-primary"
        control = {expected.property: expected.promise for expected in table.find("postgres", mode, "none").properties}
        assert all(control[name] is Promise.FORBIDDEN for name in ("outages", "lost", "failovers"))
    assert all(row.why and row.source for row in table.rows)


def test_quorum_forbids_the_loss_that_async_bounds() -> None:
    table = read(TABLE)
    lost = {
        mode: next(d for d in table.find("postgres", mode, "kill-primary").properties if d.property == "lost")
        for mode in ("async", "quorum")
    }
    assert lost["quorum"].promise is Promise.FORBIDDEN
    assert lost["async"].promise is Promise.BOUNDED


def properties_of(mode: str, fault: str) -> dict[str, PropertyExpectation]:
    return {expected.property: expected for expected in read(TABLE).find("redis", mode, fault).properties}


@pytest.mark.parametrize("persistence", ["none", "everysec", "always"])
@pytest.mark.parametrize("wait", ["0", "1"])
def test_redis_has_a_kill_and_a_control_for_all_that_members_keep_and_writes_wait_for(
    persistence: str, wait: str
) -> None:
    mode = f"{persistence}-wait-{wait}"
    control = {name: expected.promise for name, expected in properties_of(mode, "none").items()}
    assert set(control.values()) == {Promise.FORBIDDEN}
    assert control.keys() == {"outages", "failovers", "lost", "unexpected", "duplicated", "twoPrimaries"}
    kill = properties_of(mode, "kill-primary")
    assert kill["failovers"].promise is Promise.MUST_SHOW
    # WAIT is no consensus: the replica that answered need not be the one that is promoted.
    assert kill["lost"].promise is (Promise.POSSIBLE if wait == "1" else Promise.BOUNDED)
    assert all(kill[name].promise is Promise.FORBIDDEN for name in ("unexpected", "duplicated", "twoPrimaries"))


def test_what_a_redis_primary_that_comes_back_may_lose_is_what_its_disk_lacks() -> None:
    lost = {kept: properties_of(f"{kept}-ComeBack", "crash-primary")["lost"] for kept in ("none", "everysec", "always")}
    assert lost["none"].promise is Promise.MUST_SHOW
    assert (lost["everysec"].promise, lost["everysec"].budget) == (Promise.BOUNDED, "writesPerSecond * 2s")
    assert lost["always"].promise is Promise.FORBIDDEN
    waits, killed = (
        properties_of("everysec-WaitForDecision", "crash-primary"),
        properties_of("none-wait-0", "kill-primary"),
    )
    assert waits == killed


def test_a_redis_primary_that_comes_back_does_so_before_it_is_down_for_the_sentinels() -> None:
    """A replication id changes at a start too: failovers are not to be told from that."""
    for kept in ("none", "everysec", "always"):
        back = properties_of(f"{kept}-ComeBack", "crash-primary")
        assert "failovers" not in back
        assert evaluate(back["failoverTime"].budget or "", {"downAfterMilliseconds": 5000}) == 5


LEVELS = ("ONE-ONE", "TWO-ONE", "QUORUM-QUORUM", "ALL-ONE", "SERIAL-SERIAL")


@pytest.mark.parametrize("mode", LEVELS)
def test_cassandra_has_a_kill_and_a_control_at_every_pair_of_levels(mode: str) -> None:
    kill, control = (read(TABLE).find("cassandra", mode, fault) for fault in ("kill-node", "none"))
    assert {expected.route for expected in kill.properties if PROPERTIES[expected.property].by_route} == {"service"}
    assert {expected.route for expected in control.properties} == {None}
    for row in (kill, control):
        promises = {expected.property: expected.promise for expected in row.properties}
        assert all(promises[name] is Promise.FORBIDDEN for name in ("unexpected", "duplicated"))
        # At ONE the dead member may have been the only one with a write that its commit log has no marker after yet.
        may_lose = (mode, row) == ("ONE-ONE", kill)
        assert promises["lost"] is (Promise.BOUNDED if may_lose else Promise.FORBIDDEN)
        assert not promises.keys() & {"failovers", "twoPrimaries"}  # there are no epochs to tell them by


def test_a_cassandra_write_at_all_waits_for_the_dead_member_and_nothing_else_does() -> None:
    settings: dict[str, Json] = {
        "readMilliseconds": 800, "writeMilliseconds": 700, "casMilliseconds": 600, "phiConvictThreshold": 4,
    }  # fmt: skip
    kills = {
        mode: {expected.property: expected for expected in read(TABLE).find("cassandra", mode, "kill-node").properties}
        for mode in LEVELS
    }
    least = [
        (mode, expected.budget)
        for mode in LEVELS
        for expected in kills[mode].values()
        if expected.promise is Promise.MUST_SHOW
    ]
    assert least == [("ALL-ONE", "faultSeconds")]
    budgets = {
        mode: evaluate(kills[mode]["failoverTime"].budget or "", {**settings, "faultSeconds": 15}) for mode in LEVELS
    }
    assert budgets == pytest.approx(dict(zip(LEVELS, (2.8, 2.8, 14.8, 105, 3.4), strict=True)))
    assert evaluate(kills["ALL-ONE"]["readOutage"].budget or "", settings) == pytest.approx(2.8)


def test_what_is_asked_of_a_side_and_a_route_is_a_demand_of_its_own() -> None:
    text = row(
        "route: service\n    properties: {lost: possible}\n    sides:\n"
        "    - {side: minority, route: direct, properties: {writesServed: {atMost: ttl}, stale: must-show}}\n"
        "    - {side: majority, properties: {writeOutage: {atMost: ttl}}}"
    )
    assert parse(text).rows[0].properties == (
        PropertyExpectation(property="lost", promise=Promise.POSSIBLE),
        PropertyExpectation(
            property="writesServed", promise=Promise.BOUNDED, budget="ttl", side="minority", route="direct"
        ),
        PropertyExpectation(property="stale", promise=Promise.MUST_SHOW, budget=None, side="minority", route="direct"),
        PropertyExpectation(property="writeOutage", promise=Promise.BOUNDED, budget="ttl", side="majority"),
    )


def test_a_row_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(LookupError, match=r"No expectation row 'postgres sync crash-primary'.*'postgres async none'"):
        read(TABLE).find("postgres", "sync", "crash-primary")


def test_every_promise_can_be_written() -> None:
    text = row(
        "properties: {lost: possible, outages: forbidden, failovers: must-show, failoverTime: {atMost: ttl},"
        " writeOutage: {atLeast: ttl}}"
    )
    assert parse(text).rows[0].properties == (
        PropertyExpectation(property="lost", promise=Promise.POSSIBLE),
        PropertyExpectation(property="outages", promise=Promise.FORBIDDEN),
        PropertyExpectation(property="failovers", promise=Promise.MUST_SHOW),
        PropertyExpectation(property="failoverTime", promise=Promise.BOUNDED, budget="ttl"),
        PropertyExpectation(property="writeOutage", promise=Promise.MUST_SHOW, budget="ttl"),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            row("properties: {lst: forbidden}"),
            r"rows\[0\] \(postgres async kill-primary\).properties: no such field 'lst'",
        ),
        (row("properties: {lost: forbiden}"), "kill-primary.*field 'lost' is 'forbiden'. Hint: write forbidden"),
        (row("properties: {lost: 3}"), "field 'lost' is 3"),
        (row("properties: {lost: bounded}"), "field 'lost' is 'bounded'"),
        (row("properties: {lost: {atMost: 3}}"), "properties.lost: field 'atMost' must be a text"),
        (row("properties: {lost: {atMost: 3s}}"), "properties.lost.atMost: .*bare number"),
        (row("properties: {lost: {atLeast: 3s}}"), "properties.lost.atLeast: .*bare number"),
        (row("properties: {lost: {most: ttl}}"), "properties.lost: no such field 'most'"),
        (row("properties: {lost: {}}"), "field 'lost' is {}. Hint: .*atMost"),
        (row("properties: {lost: {atMost: ttl, atLeast: ttl}}"), "field 'lost' is .*atLeast"),
        (row("properties: {}"), "field 'properties' must be at least one property"),
        (row("lost: forbidden"), "no such field 'lost'"),
        (
            row("properties: {lost: possible}\n    sides: [{side: left, properties: {lost: possible}}]"),
            r"sides\[0\]: field 'side' must be one of minority, majority",
        ),
        (
            row("properties: {lost: possible}\n    sides: [{side: minority, properties: {twoPrimaries: forbidden}}]"),
            r"field 'twoPrimaries' must be named for the row as a whole",
        ),
        (
            row("properties: {lost: possible}\n    sides: [{side: minority, route: up, properties: {lost: possible}}]"),
            r"sides\[0\]: field 'route' must be one of",
        ),
        (row("route: sideways"), "field 'route' must be one of primary"),
        (row("route: service"), "field 'properties' is missing"),
        (row("properties: {lost: possible}").replace("why: because", ""), "field 'why' is missing"),
        (row("properties: {lost: possible}") + row("").split("rows:")[1].replace("because", "x"), "is missing"),
        (
            row("properties: {lost: possible}") + row("properties: {lost: possible}").split("rows:")[1],
            "occurs 2 times",
        ),
        ("rows: 3", "field 'rows' must be a list"),
        ("rows: [", "not YAML"),
        ("", "expected an object"),
    ],
)
def test_a_mistake_in_the_table_is_named_by_row_and_field(text: str, says: str) -> None:
    with pytest.raises(FieldError, match=says):
        parse(text)
