"""A probe whose history does not fit the volume is refused with the arithmetic, or ends before it fills it."""

from __future__ import annotations

import pytest
from caplab_cluster.paths import CHART
from caplab_probes.history import pruning
from caplab_probes.history.quota import HistoryQuota, QuotaExceeded, needed_bytes
from caplab_probes.spec import ProbeSpec
from hypothesis import given
from hypothesis import strategies as st
from support.chart.templates import read_crd

from caplab.contract.bounds import ELEMENT_BYTES, HISTORY_QUOTA_BYTES, MICRO_OP_BYTES, ROW_BYTES
from caplab.contract.objects import TransactionSettings


def spec(rate: float, seconds: float | None, workload: str = "set") -> ProbeSpec:
    return ProbeSpec(
        run_id="r1", workload=workload, rate=rate, routes=("service",), vantages=("a",), seed=1, seconds=seconds
    )


def test_what_does_not_fit_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(QuotaExceeded) as refused, HistoryQuota().reserve(spec(2000, 86_400)):
        pass
    assert str(refused.value) == (
        "rate 2000 * 86400 s * 1 row * 200 bytes are 32.19 GiB, and the prober's volume has 1 GiB for runs under way."
        " Hint: lower rate or seconds."
    )


def test_probes_share_the_quota_and_give_it_back() -> None:
    quota = HistoryQuota(1000 * ROW_BYTES)
    with quota.reserve(spec(10, 60)):
        with pytest.raises(QuotaExceeded, match="of which other probes have"), quota.reserve(spec(10, 50)):
            pass
        with quota.reserve(spec(10, 40)):
            assert quota.taken_bytes() == quota.size_bytes
    with quota.reserve(spec(10, 100)):
        pass


def test_one_without_an_end_is_ended_when_the_quota_is_used_up_and_others_keep_what_they_were_promised() -> None:
    quota = HistoryQuota(1000 * ROW_BYTES)
    with quota.reserve(spec(10, 60)) as promised, quota.reserve(spec(10, None)) as endless:
        endless.note_rows(400)
        with pytest.raises(QuotaExceeded, match="401 rows of 200 bytes"):
            endless.note_rows(401)
        promised.note_rows(600)


def test_of_two_reservations_of_one_size_each_is_given_back_by_its_own_probe() -> None:
    quota = HistoryQuota()
    first, second = quota.reserve(spec(10, 60)), quota.reserve(spec(10, 60))
    _, place = first.__enter__(), second.__enter__()
    second.__exit__(None, None, None)
    place.note_rows(1)
    first.__exit__(None, None, None)
    assert quota.taken_bytes() == 0


@given(
    st.lists(st.tuples(st.floats(0.1, 2000), st.none() | st.floats(0.1, 86_400)), max_size=8),
    st.lists(st.integers(0, 10**7), max_size=8),
)
def test_whatever_runs_at_once_the_volume_is_not_filled(
    probes: list[tuple[float, float | None]], rows: list[int]
) -> None:
    quota, places = HistoryQuota(), []
    for rate, seconds in probes:
        try:
            places.append(quota.reserve(spec(rate, seconds)))
            places[-1].__enter__()
        except QuotaExceeded:
            places.pop()
    assert sum(place.reserved_bytes for place in quota._reservations) <= HISTORY_QUOTA_BYTES
    for place, count in zip(list(quota._reservations), rows, strict=False):
        try:
            place.note_rows(count)
        except QuotaExceeded:
            assert quota.taken_bytes() > HISTORY_QUOTA_BYTES
            return
        assert place.size_bytes <= HISTORY_QUOTA_BYTES or place.reserved_bytes >= count * ROW_BYTES


def test_the_quota_and_the_old_runs_fit_the_volume_and_the_schema_says_the_same() -> None:
    prober = (CHART / "templates/prober.yaml").read_text()
    assert "sizeLimit: 2Gi" in prober
    assert HISTORY_QUOTA_BYTES + pruning.BYTES_MAX <= 2 * 2**30
    schema = read_crd(CHART / "templates/crds/probe.yaml")
    rules = schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"]
    (rule,) = [rule["rule"] for rule in rules if "self.rate" in rule["rule"]]
    assert f"<= {HISTORY_QUOTA_BYTES}.0" in rule
    assert f"{2 * ROW_BYTES}.0 : {ROW_BYTES}.0" in rule
    assert f"operations * ({MICRO_OP_BYTES} + {ELEMENT_BYTES} * self" in rule
    usual = TransactionSettings()
    of_transaction = usual.operations * (MICRO_OP_BYTES + ELEMENT_BYTES * usual.writes_per_key)
    assert f"!has(self.transactions) ? {of_transaction}.0" in rule
    assert needed_bytes(spec(10, 10, "txn")) == 10 * 10 * (ROW_BYTES + of_transaction)
    assert needed_bytes(spec(10, 10)) == 10 * 10 * ROW_BYTES
    assert needed_bytes(spec(10, 10, "set-scan")) == 0
