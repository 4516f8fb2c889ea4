"""What runs of other engines left behind goes before the next run; what somebody else made stays."""

from __future__ import annotations

from typing import Any

from chaoscaplab.clusters.cleanup import remove_other_clusters
from support.objects.fake_objects import of_run

RUN, SOMEBODY = "r-dead", ""


class FakeServer:
    """Clusters by kind and name, with who made them; the pods of what is deleted are there for two looks more."""

    def __init__(self, **clusters: str) -> None:
        self.there = {tuple(key.split("_")): who for key, who in clusters.items()}
        self.pods_of: dict[str, int] = {}
        self.list = self.listed

    def listed(self, kind: str, _namespace: str) -> Any:
        return [self.body(name, who) for (of, name), who in self.there.items() if of == kind]

    def body(self, name: str, who: str) -> Any:
        body = {"metadata": {"namespace": "runs", "name": name, "uid": name}, "spec": {}}
        return of_run(body, who) if who else body

    def get(self, kind: str, _namespace: str, name: str) -> Any:
        return self.body(name, self.there[kind, name]) if (kind, name) in self.there else None

    def remove(self, kind: str, body: Any) -> None:
        name = body["metadata"]["name"]
        del self.there[kind, name]
        self.pods_of[name] = 2

    def pods(self, _namespace: str, selector: str) -> list[Any]:
        name = selector.partition("=")[2].partition(",")[0]
        self.pods_of[name] -= 1
        return [{"metadata": {"name": name}}] if self.pods_of[name] > 0 else []

    def volumes(self, _namespace: str, _selector: str) -> list[Any]:
        return []


def test_clusters_of_earlier_runs_go_and_it_is_waited_until_their_members_are_gone() -> None:
    fake: Any = FakeServer(PostgresCluster_pg=RUN, RedisCluster_rd=RUN, CassandraCluster_cs=RUN)
    assert remove_other_clusters(fake, "runs", {("CassandraCluster", "cs")}) == ["pg", "rd"]
    assert list(fake.there) == [("CassandraCluster", "cs")]
    assert fake.pods_of == {"pg": 0, "rd": 0}


def test_one_of_the_same_kind_and_another_name_goes_too() -> None:
    fake: Any = FakeServer(RedisCluster_rd=RUN, RedisCluster_cache=RUN, PostgresCluster_pg=RUN)
    needed = {("RedisCluster", "cache"), ("PostgresCluster", "pg")}
    assert remove_other_clusters(fake, "runs", needed) == ["rd"]
    assert set(fake.there) == needed


def test_what_somebody_else_made_stays() -> None:
    fake: Any = FakeServer(PostgresCluster_pg=SOMEBODY, RedisCluster_rd=RUN)
    assert remove_other_clusters(fake, "runs", set()) == ["rd"]
    assert list(fake.there) == [("PostgresCluster", "pg")]
