from __future__ import annotations

import pytest
from caplab_probes.links import Endpoint, Topology
from caplab_probes.load.transactions import MicroOp
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import CONFLICT, Outcome
from caplab_probes.routing.endpoints import Router

MEMBERS = tuple(Endpoint(f"pg-{number}", f"10.0.0.{number}", 5432) for number in range(3))
SERVICE = Endpoint("service", "pg-primary.lab.svc", 5432)
READONLY, OK = Outcome("fail", "readonly"), Outcome("ok")


def names(router: Router, op: str, route: str, count: int, outcome: Outcome = OK) -> list[str]:
    endpoints = []
    for index in range(count):
        operation = Operation(index=index, op=op, route=route)
        endpoint = router.choose(operation)
        assert endpoint
        router.learn(operation, endpoint, outcome)
        endpoints.append(endpoint.name)
    return endpoints


def router() -> Router:
    return Router(lambda: Topology(SERVICE, MEMBERS))


def test_the_service_is_used_whatever_comes_back() -> None:
    assert set(names(router(), "add", "service", 5, READONLY)) == {"service"}


def test_direct_reads_take_the_members_in_turn() -> None:
    endpoints = names(router(), "read", "direct", 6)
    assert endpoints[:3] == endpoints[3:]
    assert len(set(endpoints)) == 3


def test_direct_writes_stay_with_the_member_that_takes_them_and_go_on_from_one_that_does_not() -> None:
    direct_router = router()
    assert names(direct_router, "add", "direct", 3) == ["pg-0"] * 3
    assert names(direct_router, "add", "direct", 4, READONLY) == ["pg-0", "pg-1", "pg-2", "pg-0"]
    assert names(direct_router, "add", "direct", 2) == ["pg-1", "pg-1"]


def test_many_writes_that_hang_on_one_member_move_the_choice_by_one() -> None:
    direct_router = router()
    operations = [Operation(index=index, op="add", route="direct") for index in range(4)]
    assert {direct_router.choose(operation) for operation in operations} == {MEMBERS[0]}
    for operation in operations:
        direct_router.learn(operation, MEMBERS[0], Outcome("info", "timeout"))
    assert direct_router.choose(operations[0]) == MEMBERS[1]


def test_a_primary_that_lacks_a_standby_is_still_the_primary() -> None:
    assert names(router(), "add", "direct", 3, Outcome("info", "no-quorum")) == ["pg-0"] * 3


def txn(route: str, *ops: str) -> Operation:
    micro_ops = tuple(MicroOp(op, "k", True, None if op == "read" else 1) for op in ops)
    return Operation(index=0, op="txn", route=route, txn=micro_ops)


def test_transactions_stay_with_the_primary_but_those_that_only_read_on_the_route_replica() -> None:
    router_of_all = router()
    router_of_all.note_role("pg-0", primary=True)
    reads, writes = txn("replica", "read", "read"), txn("replica", "read", "append")
    assert {router_of_all.choose(reads) for _ in range(4)} == set(MEMBERS[1:])
    assert router_of_all.choose(writes) == SERVICE
    direct = [router_of_all.choose(txn("direct", *ops)) for ops in (("read",), ("append",), ("read",))]
    assert set(direct) == {MEMBERS[0]}


def test_a_primary_at_which_transactions_conflict_is_still_the_primary() -> None:
    direct_router = router()
    for _ in range(3):
        assert direct_router.choose(txn("direct", "append")) == MEMBERS[0]
        direct_router.learn(txn("direct", "append"), MEMBERS[0], CONFLICT)


def test_a_primary_that_refuses_for_want_of_standbys_may_have_been_replaced() -> None:
    assert names(router(), "add", "direct", 4, Outcome("fail", "no-quorum")) == ["pg-0", "pg-1", "pg-2", "pg-0"]


def test_route_any_offers_writes_to_every_member() -> None:
    assert set(names(router(), "add", "any", 3, READONLY)) == {"pg-0", "pg-1", "pg-2"}


def test_where_there_is_no_primary_direct_writes_take_the_members_in_turn_whatever_comes_back() -> None:
    any_router = Router(lambda: Topology(SERVICE, MEMBERS), has_primary=False)
    endpoints = names(any_router, "add", "direct", 6) + names(
        any_router, "add", "direct", 6, Outcome("fail", "refused")
    )
    assert endpoints == endpoints[:3] * 4
    assert len(set(endpoints)) == 3
    assert set(names(any_router, "add", "service", 3)) == {"service"}


def test_operations_of_several_routes_by_turns_meet_every_member() -> None:
    any_router = Router(lambda: Topology(SERVICE, MEMBERS[:2]), has_primary=False)
    met = {("add", route): set[str]() for route in ("direct", "any")}
    for _ in range(4):
        for (op, route), members in met.items():
            members.update(names(any_router, op, route, 1))
    assert set(map(len, met.values())) == {2}


def test_route_replica_writes_by_the_service_and_reads_of_all_but_the_member_that_answered_as_primary() -> None:
    replica_router = router()
    assert set(names(replica_router, "write", "replica", 3)) == {"service"}
    assert set(names(replica_router, "read", "replica", 6)) == {"pg-0", "pg-1", "pg-2"}
    replica_router.note_role("pg-1", primary=True)
    endpoints = names(replica_router, "read", "replica", 4)
    assert set(endpoints[:2]) == set(endpoints[2:]) == {"pg-0", "pg-2"}
    # A failover: the new one answers as a primary, and the old one is a replica again.
    replica_router.note_role("pg-2", primary=True)
    assert set(names(replica_router, "read", "replica", 2)) == {"pg-0", "pg-1"}
    replica_router.note_role("pg-0", primary=False)
    assert set(names(replica_router, "read", "replica", 2)) == {"pg-0", "pg-1"}
    replica_router.note_role("pg-2", primary=False)
    assert set(names(replica_router, "read", "replica", 3)) == {"pg-0", "pg-1", "pg-2"}


def test_without_a_service_the_writes_of_route_replica_find_the_primary_as_direct_ones_do() -> None:
    replica_router = Router(lambda: Topology(None, MEMBERS))
    assert names(replica_router, "write", "replica", 2, READONLY) == ["pg-0", "pg-1"]
    assert names(replica_router, "write", "replica", 2) == ["pg-2", "pg-2"]


def test_a_primary_alone_has_no_replica() -> None:
    replica_router = Router(lambda: Topology(SERVICE, MEMBERS[:1]))
    replica_router.note_role("pg-0", primary=True)
    assert replica_router.choose(Operation(index=0, op="read", route="replica")) is None


@pytest.mark.parametrize("route", ["service", "direct", "any", "replica"])
def test_while_no_endpoint_is_known_there_is_none(route: str) -> None:
    assert Router(lambda: Topology(None, ())).choose(Operation(index=0, op="add", route=route)) is None
