//! Flags about where state is kept.
//! Declares them only.

use super::super::kind::{Kind, Unit};
use super::super::table::Support::{Inert, No, Yes};
use super::super::table::{Flag, Group, flags};

/// Why caches have no effect.
const ALL_IN_MEMORY: &str = "the leader has its whole state in memory";

/// Why compaction has no effect.
const AT_ONCE: &str = "versions that are too many are removed when a new one is made";

flags! {
    STORAGE;
    [Storage]
        zk: Kind::Text, None, Yes,
            "Where state is kept and instances elect their leader: \
             zk://[user:pass@]host1:port1,host2:port2/path, or file:///path of a file that holds \
             that. Default: none, and state is kept below --work_dir (Marathon assumes \
             zk://localhost:2181/marathon).";
        work_dir: Kind::Path, Some("/var/lib/tepui-marathon"), Yes,
            "Directory in which state is kept without --zk: one crash-safe file. (Tepui's own \
             flag.)";
        internal_store_backend: Kind::Choice(&["zk", "mem"]), Some("zk"), Yes,
            "Where state is kept: 'zk', in ZooKeeper, which needs --zk; 'mem', nowhere, so that it \
             is gone with this process. Default: 'zk' with --zk, else the file below --work_dir.";
        zk_timeout: Kind::MILLIS_FROM_1, Some("10000"),
            Inert("a write has a minute, as it may have to store all there is anew, and reading the \
                   state has --on_elected_prepare_timeout"),
            "Time ZooKeeper has for one operation.";
        zk_session_timeout: Kind::number(Unit::Millis, 1000, 3_600_000),
            Some("10000"), Yes,
            "Time without an answer of ZooKeeper after which an instance stops to lead, and after \
             which the others may elect another one.";
        zk_connection_timeout: Kind::MILLIS_FROM_1, Some("10000"),
            Inert("the time to connect to one server of ZooKeeper follows --zk_session_timeout"),
            "Time to connect to ZooKeeper.";
        zk_compression: Kind::Toggle, Some("true"),
            Inert("what is larger than 64 KiB is always compressed"),
            "Whether large nodes are compressed.";
        zk_compression_threshold: Kind::BYTES, Some("65536"),
            Inert("what is larger than 64 KiB is always compressed"),
            "Size from which on nodes are compressed.";
        zk_max_node_size: Kind::BYTES, Some("1024000"),
            Inert("what is too large for one node is divided among several"),
            "Largest node.";
        zk_operation_max_retries: Kind::COUNT, Some("5"),
            Inert("operations are repeated until their time is over, not so many times"),
            "Repetitions of an operation.";
        zk_operation_base_retry_sleep_ms: Kind::MILLIS, Some("10"),
            Inert("operations are repeated at a fixed pace until their time is over"),
            "Wait before the first repetition.";
        zk_max_concurrency: Kind::COUNT, Some("32"),
            Inert("whatever waits is folded into one write, of which one is on its way"),
            "Operations on their way at a time.";
        zk_max_versions | max_versions: Kind::COUNT_FROM_1, Some("50"), Yes,
            "Earlier versions of the root group that are kept at least, and with them those of the \
             apps. The second name is Tepui's own.";
        store_cache: Kind::Toggle, Some("true"), Inert(ALL_IN_MEMORY),
            "Whether stored items are kept in memory.";
        internal_version_caching: Kind::Toggle, Some("true"), Inert(ALL_IN_MEMORY),
            "Whether versions are kept in memory, too.";
        group_versions_cache_size: Kind::COUNT, Some("1000"), Inert(ALL_IN_MEMORY),
            "Versions of the root group that are kept in memory.";
        storage_compaction_interval: Kind::SECONDS, Some("30"), Inert(AT_ONCE),
            "Time between looks for versions that are too many.";
        storage_compaction_scan_batch_size: Kind::COUNT, Some("32"), Inert(AT_ONCE),
            "Items that are looked at together.";
        storage_execution_context_size: Kind::COUNT, None,
            Inert("one thread owns the store"),
            "Threads of the store.";
        backup_location: Kind::Text, None,
            No("there are no migrations to be backed up before; ask for a backup with DELETE \
                /v2/leader?backup=file:///PATH"),
            "Where a backup is written before a migration.";
}
