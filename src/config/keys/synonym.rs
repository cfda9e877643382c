//! The broker keys behind the topic keys (`ServerTopicConfigSynonyms`).

use crate::config::Value;

/// A broker key that a topic key falls back to.
#[derive(Debug, Clone, Copy)]
pub struct Synonym {
    pub name: &'static str,
    unit: Unit,
}

/// How a broker's value becomes a topic's.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Same,
    Minutes,
    Hours,
}

impl Synonym {
    /// The topic's text for a value of this broker key.
    pub fn to_topic(&self, value: &Value) -> String {
        let ms_each = match self.unit {
            Unit::Same => return value.to_string(),
            Unit::Minutes => 60 * 1000,
            Unit::Hours => 60 * 60 * 1000,
        };
        match value {
            // At most 2³¹ hours, so this stays far below the end of a Long.
            Value::Int(count) => (i64::from(*count) * ms_each).to_string(),
            other => unreachable!("{} counts whole units, not {other:?}", self.name),
        }
    }
}

const fn same(name: &'static str) -> Synonym {
    Synonym {
        name,
        unit: Unit::Same,
    }
}

pub(super) fn synonyms(topic_key: &str) -> &'static [Synonym] {
    const MINUTES: Synonym = Synonym {
        name: "log.retention.minutes",
        unit: Unit::Minutes,
    };
    const HOURS: Synonym = Synonym {
        name: "log.retention.hours",
        unit: Unit::Hours,
    };
    const ROLL_HOURS: Synonym = Synonym {
        name: "log.roll.hours",
        unit: Unit::Hours,
    };
    const JITTER_HOURS: Synonym = Synonym {
        name: "log.roll.jitter.hours",
        unit: Unit::Hours,
    };
    match topic_key {
        "cleanup.policy" => const { &[same("log.cleanup.policy")] },
        "compression.gzip.level" => const { &[same("compression.gzip.level")] },
        "compression.lz4.level" => const { &[same("compression.lz4.level")] },
        "compression.type" => const { &[same("compression.type")] },
        "compression.zstd.level" => const { &[same("compression.zstd.level")] },
        "delete.retention.ms" => const { &[same("log.cleaner.delete.retention.ms")] },
        "file.delete.delay.ms" => const { &[same("log.segment.delete.delay.ms")] },
        "flush.messages" => const { &[same("log.flush.interval.messages")] },
        "flush.ms" => {
            const {
                &[
                    same("log.flush.interval.ms"),
                    same("log.flush.scheduler.interval.ms"),
                ]
            }
        }
        "index.interval.bytes" => const { &[same("log.index.interval.bytes")] },
        "local.retention.bytes" => const { &[same("log.local.retention.bytes")] },
        "local.retention.ms" => const { &[same("log.local.retention.ms")] },
        "max.compaction.lag.ms" => const { &[same("log.cleaner.max.compaction.lag.ms")] },
        "max.message.bytes" => const { &[same("message.max.bytes")] },
        "message.timestamp.after.max.ms" => const { &[same("log.message.timestamp.after.max.ms")] },
        "message.timestamp.before.max.ms" => {
            const { &[same("log.message.timestamp.before.max.ms")] }
        }
        "message.timestamp.type" => const { &[same("log.message.timestamp.type")] },
        "min.cleanable.dirty.ratio" => const { &[same("log.cleaner.min.cleanable.ratio")] },
        "min.compaction.lag.ms" => const { &[same("log.cleaner.min.compaction.lag.ms")] },
        "min.insync.replicas" => const { &[same("min.insync.replicas")] },
        "preallocate" => const { &[same("log.preallocate")] },
        "retention.bytes" => const { &[same("log.retention.bytes")] },
        "retention.ms" => const { &[same("log.retention.ms"), MINUTES, HOURS] },
        "segment.bytes" => const { &[same("log.segment.bytes")] },
        "segment.index.bytes" => const { &[same("log.index.size.max.bytes")] },
        "segment.jitter.ms" => const { &[same("log.roll.jitter.ms"), JITTER_HOURS] },
        "segment.ms" => const { &[same("log.roll.ms"), ROLL_HOURS] },
        "unclean.leader.election.enable" => const { &[same("unclean.leader.election.enable")] },
        _ => &[],
    }
}

/// All names of one broker setting, the strongest first (`DynamicBrokerConfig.brokerConfigSynonyms`).
/// `None` where it has only its own.
pub(super) fn family(name: &str) -> Option<&'static [&'static str]> {
    const FAMILIES: &[&[&str]] = &[
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &[
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
    ];
    // The other direction does not hold: the scheduler's interval is only a default here.
    if name == "log.flush.interval.ms" {
        return Some(&["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]);
    }
    FAMILIES
        .iter()
        .find(|family| family.contains(&name))
        .copied()
}

/// The broker key that a group key falls back to (`GroupConfig.ALL_GROUP_CONFIG_SYNONYMS`).
pub(super) fn of_group(group_key: &str) -> Option<&'static str> {
    Some(match group_key {
        "consumer.assignment.interval.ms" => "group.consumer.assignment.interval.ms",
        "consumer.heartbeat.interval.ms" => "group.consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms" => "group.consumer.session.timeout.ms",
        "share.assignment.interval.ms" => "group.share.assignment.interval.ms",
        "share.delivery.count.limit" => "group.share.delivery.count.limit",
        "share.heartbeat.interval.ms" => "group.share.heartbeat.interval.ms",
        "share.partition.max.record.locks" => "group.share.partition.max.record.locks",
        "share.record.lock.duration.ms" => "group.share.record.lock.duration.ms",
        "share.session.timeout.ms" => "group.share.session.timeout.ms",
        "streams.assignment.interval.ms" => "group.streams.assignment.interval.ms",
        "streams.heartbeat.interval.ms" => "group.streams.heartbeat.interval.ms",
        "streams.initial.rebalance.delay.ms" => "group.streams.initial.rebalance.delay.ms",
        "streams.num.standby.replicas" => "group.streams.num.standby.replicas",
        "streams.session.timeout.ms" => "group.streams.session.timeout.ms",
        _ => return None,
    })
}
