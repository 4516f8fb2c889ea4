"""Parameters of the engines that a spec must not set, and why: the part of the tables that is decided by hand.

A parameter that is not listed here may be set, with values in the engine's own range or a narrower one of BOUNDS. Free
text is refused as a whole: it cannot be checked before a member starts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

DURABILITY = "durability or replication depends on it"
FIELD = "another field of the spec sets it"
DAMAGE = "it hides or causes damage to the data"
RECOVERY = "the members' start and recovery depend on it"
COMMAND = "it runs a command"
CODE = "it loads code into the members"
FILE = "it names a file or a folder"
NETWORK = "the lab decides where members listen and connect"
ACCESS = "logins and their rights depend on it"
SECRETS = "it writes statements to the log, and the secrets in them"
LOG = "the lab decides where the log goes, and in which form"
MEMBERS_OWN = "the members' own sessions and workers depend on it"
FIXED = "it is read-only"
OLD = "the engine keeps it only for old files"
DEVELOPERS = "it is for the engine's own developers"
OLD_NAME = "it is an alias of another parameter"
NOT_SET_UP = "it belongs to a feature that is not set up here"
PROCESS = "the lab decides how the process runs"
DISK = "it keeps copies that fill the volume"
FOR_GOOD = "its effect can't be undone"
TEXT = "its value is free text, which can't be checked before a member starts"

_POSTGRES = {
    DURABILITY: (
        "fsync", "full_page_writes", "synchronous_.*", "synchronized_standby_slots", "wal_level", "wal_sync_method",
        "wal_log_hints", "hot_standby", "data_sync_retry", "max_wal_senders", "max_replication_slots",
        "max_slot_wal_keep_size", "primary_.*", "sync_replication_slots", "session_replication_role",
        "wal_receiver_create_temp_slot", "output_plugin_libraries",
    ),
    FIELD: ("wal_keep_size", "(max|min)_wal_size"),  # storage.size
    DAMAGE: ("zero_damaged_pages", "ignore_.*", "allow_.*", "file_extend_method"),
    COMMAND: (".*_command",),
    RECOVERY: ("recovery_.*", "restart_after_crash", "send_abort_.*", "max_stack_depth", "max_files_per_process"),
    CODE: (".*_preload_libraries", "jit_provider", "dynamic_library_path", "archive_library", "extension_destdir"),
    FILE: (".*_file", ".*_directory", ".*_directories", "ssl_crl_dir", "krb_server_keyfile", "data_directory_mode"),
    NETWORK: ("listen_addresses", "port", "bonjour.*", "unix_socket_.*", "cluster_name", "ssl.*"),
    ACCESS: (
        "password_encryption", "krb_.*", "gss_.*", "lo_compat_privileges", "createrole_self_grant",
        "scram_iterations",
    ),
    SECRETS: (
        "log_statement.*", "log_min_.*", "log_duration", "log_parameter_.*", "log_transaction_sample_rate",
        "log_lock_waits", "log_temp_files", ".*_stats", "debug_print_.*",
    ),
    LOG: (
        "log_destination", "log_filename", "log_file_mode", "log_rotation_.*", "log_truncate_on_rotation",
        "log_line_prefix", "logging_collector", "log_hostname", "log_timezone", "syslog_.*", "event_source",
        "log_error_verbosity",
    ),
    MEMBERS_OWN: (
        "superuser_reserved_connections", "reserved_connections", "default_transaction_read_only", "exit_on_error",
        "authentication_timeout",
    ),
    DEVELOPERS: (
        "debug_.*", "trace_.*", "jit_debugging_support", "jit_dump_bitcode", "jit_profiling_support",
        "post_auth_delay", "pre_auth_delay", "backtrace_functions",
    ),
    NOT_SET_UP: (
        "archive_.*", "summarize_wal", "wal_summary_keep_time", "huge_pages", "huge_page_size", "shared_memory_type",
    ),
    FIXED: ("transaction_(isolation|read_only|deferrable)",),
}  # fmt: skip
_REDIS = {
    OLD_NAME: (".*slave.*", ".*ziplist.*", "lua-time-limit", ".*_cpulist"),
    FIELD: ("appendonly", "appendfsync", "save", "min-replicas-.*", "maxmemory", "maxmemory-policy"),
    DURABILITY: (
        "no-appendfsync-on-rewrite", "rdb-del-sync-files", "replica-ignore-.*", "replica-read-only",
        "replica-priority", "replica-announced", "replicaof", "shutdown-on-.*", "propagation-error-behavior",
    ),
    CODE: ("enable-.*",),
    FILE: ("dir", "dbfilename", "append.*name", "logfile", "pidfile", "aclfile"),
    NETWORK: ("port", "bind.*", "protected-mode", "unixsocket.*", "replica-announce-.*", "socket-mark-id"),
    ACCESS: ("requirepass", "master(auth|user)", "acl-pubsub-default"),
    NOT_SET_UP: ("cluster-.*", "tls-.*", "max-new-tls-.*", "activedefrag", "active-defrag-.*"),
    SECRETS: ("hide-user-data-from-log",),
    PROCESS: (
        "daemonize", "supervised", "syslog-.*", "set-proc-title", "proc-title-template", "always-show-logo",
        ".*-cpulist", "oom-.*", "disable-thp", "crash-.*", "jemalloc-bg-thread", "ignore-warnings", "locale-collate",
    ),
}  # fmt: skip
_CASSANDRA = {
    FIELD: (
        "commitlog_sync", "commitlog_sync_.*", "hinted_handoff_enabled", "max_hint_window", "hints_flush_period",
        "phi_convict_threshold", "(read|write)_request_timeout", "cas_contention_timeout", "request_timeout",
        "paxos_variant",
    ),
    DURABILITY: (
        "periodic_commitlog_.*", "commitlog_(compression|disk_access_mode|total_space)", "disk_access_mode",
        "hinted_handoff_disabled_.*", "hint_window_persistent_enabled", "max_hints_(file_size|size_per_host)",
        "auto_hints_cleanup_enabled", "transfer_hints_.*", "use_creation_time_for_hint_ttl",
        "enforce_native_deadline_for_hints", "(disk|commit)_failure_policy", "default_keyspace_rf",
        "transient_replication_enabled", "paxos_.*", "skip_paxos_.*", "block_for_peers_.*", "ideal_consistency_level",
    ),
    RECOVERY: (
        "num_tokens", "allocate_tokens_.*", "initial_token", "partitioner", "endpoint_snitch", "dynamic_snitch.*",
        "failure_detector", "auto_bootstrap", "cluster_name", "seed_provider", "startup_checks",
        "autocompaction_on_startup_enabled",
    ),
    DAMAGE: ("skip_stream_disk_space_check", "corrupted_tombstone_strategy"),
    CODE: (".*user_defined_functions_.*", "allow_.*insecure_udfs", "user_function_timeout_policy"),
    FILE: (".*_director(y|ies)", "heap_dump_path", "dump_heap_.*"),
    NETWORK: (
        ".*_address", ".*_interface", ".*_port(_ssl)?", ".*_prefer_ipv6", "listen_on_.*", "start_native_transport",
        "rpc_keepalive", "native_transport_max_concurrent_connections.*", "native_transport_max_auth_threads",
    ),
    ACCESS: (
        "auth.*", ".*_?authori[sz]er", ".*_authenticator", "role_manager", "(permissions|roles|credentials)_.*",
        "traverse_auth_.*", ".*encryption_options", "crypto_provider", "dynamic_data_masking_enabled",
    ),
    SECRETS: (
        "slow_query_log_timeout", "audit_logging_options", "full_query_logging_options", "diagnostic_events_enabled",
    ),
    NOT_SET_UP: ("cdc_.*",),
    DISK: ("incremental_backups", ".*snapshot.*"),
    FOR_GOOD: ("storage_compatibility_mode", "uuid_sstable_identifiers_enabled", "automatic_sstable_upgrade"),
}  # fmt: skip

REFUSALS: Mapping[str, Mapping[str, Sequence[str]]] = {"postgres": _POSTGRES, "redis": _REDIS, "cassandra": _CASSANDRA}

# Narrower than the engine's own: beyond these a member starts and the lab cannot log in, or the engine silently takes
# another value.
BOUNDS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    # Clients, 12 for Patroni; and a node that is a podman container gives a pod no more than 307 processes.
    "postgres": {
        "max_connections": (30, 1000), "max_worker_processes": (8, 128), "max_locks_per_transaction": (10, 10000),
    },
    "redis": {"hz": (1, 500), "maxclients": (64, 100000), "databases": (1, 10000), "io-threads": (1, 16)},
    "cassandra": {
        "concurrent_reads": (2, 512), "concurrent_writes": (2, 512), "concurrent_counter_writes": (2, 512),
        "concurrent_materialized_view_writes": (2, 512), "concurrent_compactors": (1, 64),
        "memtable_flush_writers": (1, 64), "max_hints_delivery_threads": (1, 64),
        "native_transport_max_threads": (2, 1024),
        "concurrent_index_builders": (1, 64), "concurrent_materialized_view_builders": (1, 64),
        "available_processors": (1, 256),
    },
}  # fmt: skip


def reason(engine: str, name: str, kind: str) -> str:
    """Return why a spec must not set a parameter; '' if it may."""
    for why, patterns in REFUSALS[engine].items():
        if any(re.fullmatch(pattern, name) for pattern in patterns):
            return why
    return TEXT if kind == "text" else ""
