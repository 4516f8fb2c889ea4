"""A fault that an agent carries out, for tests: a kill that is proven."""

from __future__ import annotations

from caplab_agent.faults import Assignment, FaultRecord

from caplab.contract.objects import Kill
from caplab.contract.phases import ACTIVE

ASSIGNMENT = Assignment(
    fault_uid="f1",
    namespace="lab",
    name="kill-it",
    cluster="pg",
    pod_uid="p1",
    pod="pg-0",
    action=Kill(signal="SIGTERM", keep_down=False),
)
RECORD = FaultRecord(
    assignment=ASSIGNMENT,
    boot_id="boot-1",
    deadline_ns=5,
    state=ACTIVE,
    injected_ns=3,
    injected_at="2026-01-01T12:00:00.123Z",
    proven=True,
    evidence=("SIGKILL to 3 processes",),
)
