"""Bounds that the schemas of the kinds (charts/caplab/templates/crds) and the code share."""

from __future__ import annotations

MESSAGE_CHARACTERS = 1000  # of a Fault, a condition, a target's problem, a Probe's last error
CLUSTER_NAME, ROLLOUT_CHARACTERS = 40, 200  # of a cluster

FAULT_SECONDS = 3600  # the longest fault
FAULT_MEMBERS = 8  # the most that a Fault names, or says the number of
TARGETS = ADDRESSES = 64  # of a Fault, of a target
EVIDENCE_LINES, EVIDENCE_CHARACTERS = 20, 300

RATE = 2000.0  # operations a second of a Probe; a prober is measured up to 1000
VANTAGES = 32  # of a Probe
PROBE_SECONDS = 86_400
TIMEOUT_MILLISECONDS = (50, 120_000)  # of an operation: the least and the most
SPECULATIVE_MILLISECONDS = 10_000  # until another coordinator is asked: the statement has timed out long before
REPLICA_WAIT_MILLISECONDS = 1000  # of a causal read: as long as a statement may take
CLOCK_SKEW_MILLISECONDS = 3_600_000  # either way
CACHE_KEYS, CACHE_EXPONENT, CACHE_PLACES, CACHE_CONNECTIONS = 10_000, 10, 64, 60
CACHE_MILLISECONDS = CACHE_WRITE_EVERY = 600_000
# Of the workload txn: of one transaction, of a probe at a time, of one key. Lists are read as a whole.
TXN_OPERATIONS, TXN_KEYS, TXN_ACTIVE_KEYS, TXN_WRITES_PER_KEY = 8, 8, 1000, 1024
# A row takes 160 to 190 bytes of the disk. The prober's volume has 2 GiB (charts/caplab/templates/prober.yaml): a half
# is for old runs, the other for those under way. The Probe's schema has both numbers too.
ROW_BYTES = 200
# A transaction takes so much more: for each micro-operation, and for each element of the lists that it reads, which
# have half of their elements on average.
MICRO_OP_BYTES, ELEMENT_BYTES = 60, 4
HISTORY_QUOTA_BYTES = 1 << 30

RUN_REPEATS = 1000  # of each run of a suite: the chart's schedule has it too
REASONS, REASON_CHARACTERS = 20, 500  # of a Run's verdict
