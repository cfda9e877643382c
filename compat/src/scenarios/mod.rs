//! The scenario list that all client programs share, in the order of the table.

mod admin;
mod consume;
mod groups;
mod groups_admin;
mod produce;
mod restart;
mod topics;

use serde_json::Value;

use crate::checks::Checked;
use crate::context::Context;

/// One row of the compatibility table.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What the row says, in a user's words.
    pub(crate) about: &'static str,
    pub(crate) run: Run,
}

/// How a scenario is run.
pub(crate) enum Run {
    /// On a broker shared with every other client.
    Shared(fn(&mut Context) -> Checked),
    /// On a broker that is ended and started again between the two halves.
    AcrossRestart(Restart),
    /// On a broker that is killed and started again while the client produces.
    UnderKill(fn(&mut Context, &mut dyn FnMut()) -> Checked),
}

/// The halves of a restart scenario; what the first returns is handed to the second.
pub(crate) struct Restart {
    pub(crate) stopped: crate::broker::End,
    pub(crate) before: fn(&mut Context) -> Checked<Value>,
    pub(crate) after: fn(&mut Context, &Value) -> Checked,
}

/// Writes what [`find`] looks for after the broker was started anew: records, configurations, groups.
pub(crate) fn leave(cx: &mut Context) -> Checked<Value> {
    restart::before(cx)
}

/// Finds what [`leave`] returned, and goes on with it.
pub(crate) fn find(cx: &mut Context, left: &Value) -> Checked {
    restart::after(cx, left)
}

const fn shared(
    name: &'static str,
    about: &'static str,
    run: fn(&mut Context) -> Checked,
) -> Scenario {
    Scenario {
        name,
        about,
        run: Run::Shared(run),
    }
}

const fn restart(name: &'static str, about: &'static str, stopped: crate::broker::End) -> Scenario {
    Scenario {
        name,
        about,
        run: Run::AcrossRestart(Restart {
            stopped,
            before: restart::before,
            after: restart::after,
        }),
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    shared(
        "metadata",
        "finds the broker, its address and the controller",
        topics::metadata,
    ),
    shared(
        "auto-create",
        "producing to an unknown topic creates it",
        topics::auto_create,
    ),
    shared(
        "topic-lifecycle",
        "creates, describes and deletes topics",
        topics::lifecycle,
    ),
    shared(
        "topic-refusals",
        "bad topics are refused with Kafka's codes",
        topics::refusals,
    ),
    shared(
        "round-trip",
        "keys, headers, nulls and timestamps come back",
        produce::round_trip,
    ),
    shared("codec-none", "uncompressed batches", produce::codec_none),
    shared("codec-gzip", "gzip batches", produce::codec_gzip),
    shared("codec-snappy", "snappy batches", produce::codec_snappy),
    shared("codec-lz4", "lz4 batches", produce::codec_lz4),
    shared("codec-zstd", "zstd batches", produce::codec_zstd),
    shared("acks-0", "acks=0 reaches the log", produce::acks_none),
    shared("acks-1", "acks=1 names the offset", produce::acks_leader),
    shared("acks-all", "acks=all names the offset", produce::acks_all),
    shared(
        "idempotent",
        "idempotent producer, no gap and no duplicate",
        produce::idempotent,
    ),
    shared(
        "size-limit",
        "the largest batch is taken, one byte more is refused",
        produce::size_limit,
    ),
    shared(
        "ordering",
        "20,000 records in order at contiguous offsets",
        produce::ordering,
    ),
    shared(
        "many-partitions",
        "reads twelve partitions at once",
        consume::many_partitions,
    ),
    shared("fetch-small", "many tiny records", consume::fetch_small),
    shared(
        "fetch-big",
        "records above the fetch limits still arrive",
        consume::fetch_big,
    ),
    shared(
        "fetch-wait",
        "a fetch waits for bytes and then answers",
        consume::fetch_wait,
    ),
    shared(
        "read-committed",
        "read_committed reads plain records",
        consume::read_committed,
    ),
    shared(
        "start-offset",
        "reads from the beginning, the end and an offset",
        consume::start_offset,
    ),
    shared(
        "offsets-for-times",
        "finds offsets by timestamp",
        consume::offsets_for_times,
    ),
    shared(
        "max-timestamp",
        "finds the record with the latest timestamp",
        consume::max_timestamp,
    ),
    shared(
        "reset-earliest",
        "out of range: from the earliest",
        consume::reset_earliest,
    ),
    shared(
        "reset-latest",
        "out of range: from the latest",
        consume::reset_latest,
    ),
    shared(
        "reset-none",
        "out of range without a policy is an error",
        consume::reset_none,
    ),
    shared(
        "group-share",
        "two members share partitions, join and leave",
        groups::share,
    ),
    shared(
        "group-resume",
        "commits, and resumes at the commit",
        groups::resume,
    ),
    shared(
        "group-auto-commit",
        "commits by itself",
        groups::auto_commit,
    ),
    shared(
        "group-latest",
        "a new group starts at the latest",
        groups::latest,
    ),
    shared(
        "group-independent",
        "two groups read the same records",
        groups::independent,
    ),
    shared(
        "group-crash",
        "a dead member's partitions move on",
        groups::crash,
    ),
    shared("assignor-range", "range assignor", groups::range),
    shared(
        "assignor-roundrobin",
        "round robin assignor",
        groups::roundrobin,
    ),
    shared("assignor-sticky", "sticky assignor", groups::sticky),
    shared(
        "assignor-cooperative",
        "cooperative sticky assignor",
        groups::cooperative,
    ),
    shared(
        "static-member",
        "a static member comes back without a rebalance",
        groups::static_member,
    ),
    shared(
        "static-fenced",
        "a second holder of an instance id fences the first",
        groups::fenced,
    ),
    shared(
        "admin-groups-list",
        "lists groups by state",
        groups_admin::list,
    ),
    shared(
        "admin-groups-describe",
        "describes groups and their members",
        groups_admin::describe,
    ),
    shared(
        "admin-groups-delete",
        "deletes groups without members",
        groups_admin::delete,
    ),
    shared(
        "admin-offsets-alter",
        "alters committed offsets of a group at rest",
        groups_admin::alter_offsets,
    ),
    shared(
        "admin-offsets-delete",
        "deletes committed offsets",
        groups_admin::delete_offsets,
    ),
    shared(
        "admin-members-remove",
        "removes a static member",
        groups_admin::remove_member,
    ),
    shared("admin-cluster", "describes the cluster", admin::cluster),
    shared(
        "admin-configs",
        "describes topic and broker configuration",
        admin::configs,
    ),
    shared(
        "admin-configs-unknown",
        "configuration of an unknown topic is an error",
        admin::configs_unknown,
    ),
    restart(
        "restart-stopped",
        "stopped and started: data, topics, groups are there",
        crate::broker::End::Stop,
    ),
    restart(
        "restart-killed",
        "killed and started: data, topics, groups are there",
        crate::broker::End::Kill,
    ),
    Scenario {
        name: "killed-under-load",
        about: "killed while producing: no acknowledged record is lost",
        run: Run::UnderKill(restart::under_kill),
    },
];
