from __future__ import annotations

from pathlib import Path

import pytest
from caplab_cluster.digest import digest
from caplab_cluster.engine import Container
from caplab_cluster.failure import Failure
from caplab_cluster.images.lab_images import in_build_order
from caplab_cluster.kind_cluster import NODES, ClusterRecord, next_action
from caplab_cluster.machine.facts import parse_version
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.property

names = st.sampled_from("abcdef")


@given(st.dictionaries(names, st.sets(names)))
def test_a_build_order_has_every_image_after_what_it_stands_on_or_is_refused(parents: dict[str, set[str]]) -> None:
    try:
        order = in_build_order({name: sorted(above) for name, above in parents.items()})
    except Failure:
        return
    assert sorted(order) == sorted(parents)
    for name, above in parents.items():
        assert all(order.index(parent) < order.index(name) for parent in above)


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_different_words_give_different_digests(words: list[str], other: list[str]) -> None:
    assert (digest([], *words) == digest([], *other)) == (words == other)


@given(
    st.dictionaries(
        st.sampled_from([*NODES, "caplab-worker4"]),
        st.tuples(st.sampled_from(["1", "2"]), st.sampled_from(["running", "exited"])),
    ),
    st.booleans(),
)
def test_only_a_cluster_with_all_its_own_containers_is_ever_kept(
    containers: dict[str, tuple[str, str]], complete: bool
) -> None:
    made = ClusterRecord(dict.fromkeys(NODES, "1"), "image", "config") if complete else None
    move, why = next_action([Container(name, id_, state, "i") for name, (id_, state) in containers.items()], made)
    own = complete and {name: id_ for name, (id_, _) in containers.items()} == dict.fromkeys(NODES, "1")
    assert (move in ("none", "start")) == own
    assert (move == "none") == (own and all(state == "running" for _, state in containers.values()))
    assert why


@given(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), st.text("vgo -"), st.text("-+abc \n"))
def test_a_version_is_found_in_whatever_surrounds_it(version: tuple[int, int, int], before: str, after: str) -> None:
    assert parse_version(before + ".".join(map(str, version)) + after) == version


def test_a_files_place_is_part_of_the_digest(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    (tmp_path / "b" / "y").write_text("1")
    assert digest([tmp_path / "a"]) != digest([tmp_path / "b"])
