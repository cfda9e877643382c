//! What a broker tells of itself: its health, and metrics under the names that Kafka's have once the usual
//! JMX exporter has turned them into Prometheus' format.

use crate::api::Meters;
use crate::http::{Exposition, Kind, Pages};
use crate::metadata::ImageHandle;
use crate::net::Acceptor;
use crate::replica::{CleanerFigures, Partition, Replicas};
use crate::types::NodeId;
use std::sync::Arc;

/// The parts that are looked at.
pub(crate) struct Monitor {
    pub(crate) node_id: NodeId,
    pub(crate) meters: Arc<Meters>,
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) image: ImageHandle,
    pub(crate) acceptor: Acceptor,
}

impl Pages for Monitor {
    fn health(&self) -> Result<(), String> {
        match offline(&self.replicas.all()) {
            0 => Ok(()),
            count => Err(format!("{count} partitions are offline")),
        }
    }

    fn metrics(&self) -> String {
        let mut page = Exposition::default();
        let partitions = self.replicas.all();
        self.traffic(&mut page);
        self.cluster(&partitions, &mut page);
        logs(&partitions, &mut page);
        cleaner(&self.replicas.cleaner_figures(), &mut page);
        page.finish()
    }
}

impl Monitor {
    fn traffic(&self, page: &mut Exposition) {
        let meters = &self.meters;
        page.metric(
            "kafka_server_brokertopicmetrics_messagesin_total",
            Kind::Counter,
            "Records written by producers.",
        )
        .sample(&[], meters.records_in());
        page.metric(
            "kafka_server_brokertopicmetrics_bytesin_total",
            Kind::Counter,
            "Bytes of record batches written by producers.",
        )
        .sample(&[], meters.bytes_in());
        page.metric(
            "kafka_server_brokertopicmetrics_bytesout_total",
            Kind::Counter,
            "Bytes of record batches given to fetches.",
        )
        .sample(&[], meters.bytes_out());
        let mut requests = page.metric(
            "kafka_network_requestmetrics_requests_total",
            Kind::Counter,
            "Requests taken, by API.",
        );
        for (api, count) in meters.requests() {
            requests.sample(&[("request", &api)], count);
        }
        page.metric(
            "ottla_network_refused_requests_total",
            Kind::Counter,
            "Requests whose connection was closed: unknown, unreadable, or without a wanted answer.",
        )
        .sample(&[], meters.refusals());
        page.metric(
            "kafka_server_socketservermetrics_connection_count",
            Kind::Gauge,
            "Connections open now.",
        )
        .sample(&[], self.acceptor.connections());
    }

    fn cluster(&self, partitions: &[Arc<Partition>], page: &mut Exposition) {
        let image = self.image.load();
        let led = partitions.iter().filter(|p| p.leads() && !p.is_closed());
        page.metric(
            "ottla_build_info",
            Kind::Gauge,
            "Always 1; the labels say what runs.",
        )
        .sample(
            &[
                ("version", &env!("CARGO_PKG_VERSION")),
                ("node_id", &self.node_id),
            ],
            1,
        );
        let mut gauge = |name, help: &str, value: usize| {
            page.metric(name, Kind::Gauge, help).sample(&[], value);
        };
        gauge(
            "kafka_server_replicamanager_partitioncount",
            "Partitions with a replica on this broker.",
            partitions.len(),
        );
        gauge(
            "kafka_server_replicamanager_leadercount",
            "Partitions that this broker leads.",
            led.count(),
        );
        gauge(
            "kafka_server_replicamanager_offlinereplicacount",
            "Replicas whose directory has failed.",
            offline(partitions),
        );
        gauge(
            "kafka_log_logmanager_offlinelogdirectorycount",
            "Log directories that have failed.",
            self.replicas.offline_directory_count(),
        );
        gauge(
            "kafka_controller_kafkacontroller_globaltopiccount",
            "Topics of the cluster.",
            image.topic_count(),
        );
        gauge(
            "kafka_controller_kafkacontroller_globalpartitioncount",
            "Partitions of the cluster.",
            image.partition_count(),
        );
        gauge(
            "kafka_controller_kafkacontroller_activecontrollercount",
            "Whether this node is the active controller.",
            1,
        );
    }
}

fn offline(partitions: &[Arc<Partition>]) -> usize {
    let offline = partitions.iter().filter(|partition| partition.is_closed());
    offline.count()
}

fn cleaner(figures: &CleanerFigures, page: &mut Exposition) {
    let mut gauge = |name, help: &str, value: &dyn std::fmt::Display| {
        page.metric(name, Kind::Gauge, help).sample(&[], value);
    };
    gauge(
        "kafka_log_logcleanermanager_max_dirty_percent",
        "Part of the dirtiest compacted log that could be cleaned.",
        &figures.max_dirty_percent,
    );
    gauge(
        "kafka_log_logcleanermanager_time_since_last_run_ms",
        "Time since the cleaner last looked for a dirty log.",
        &figures.time_since_last_run_ms,
    );
    gauge(
        "kafka_log_logcleaner_cleaner_recopy_percent",
        "Bytes that the newest cleaning wrote, of those that it read.",
        &figures.recopy_percent,
    );
    gauge(
        "kafka_log_logcleaner_max_clean_time_secs",
        "How long the newest cleaning took.",
        &figures.max_clean_time_secs,
    );
    gauge(
        "kafka_log_logcleaner_max_buffer_utilization_percent",
        "How full the table of keys was in the newest cleaning.",
        &figures.max_buffer_utilization_percent,
    );
    gauge(
        "kafka_log_logcleaner_max_compaction_delay_secs",
        "How long a log has waited to be cleaned beyond its max.compaction.lag.ms, at most.",
        &figures.max_compaction_delay_secs,
    );
    gauge(
        "kafka_log_logcleaner_deadthreadcount",
        "Cleaners that have ended by an error of the broker.",
        &figures.dead_threads,
    );
    let mut partitions = page.metric(
        "kafka_log_logcleanermanager_uncleanable_partitions_count",
        Kind::Gauge,
        "Partitions that could not be cleaned and are left alone, by log directory.",
    );
    for (directory, uncleanable) in &figures.uncleanable {
        partitions.sample(
            &[("logdirectory", &directory.display())],
            uncleanable.partitions,
        );
    }
    let mut bytes = page.metric(
        "kafka_log_logcleanermanager_uncleanable_bytes",
        Kind::Gauge,
        "What would be cleaned of them otherwise, by log directory.",
    );
    for (directory, uncleanable) in &figures.uncleanable {
        bytes.sample(&[("logdirectory", &directory.display())], uncleanable.bytes);
    }
}

fn logs(partitions: &[Arc<Partition>], page: &mut Exposition) {
    type Value = fn(&Partition) -> i128;
    let gauges: [(&'static str, &str, Value); 3] = [
        ("kafka_log_log_size", "Bytes of the log's segments.", |p| {
            i128::from(p.size())
        }),
        (
            "kafka_log_log_logstartoffset",
            "The log's first offset.",
            |p| i128::from(p.log_start().get()),
        ),
        (
            "kafka_log_log_logendoffset",
            "The offset of the next record.",
            |p| i128::from(p.log_end().get()),
        ),
    ];
    for (name, help, value) in gauges {
        let mut samples = page.metric(name, Kind::Gauge, help);
        for partition in partitions {
            let name = partition.name();
            samples.sample(
                &[
                    ("topic", &name.topic.as_str()),
                    ("partition", &name.partition),
                ],
                value(partition),
            );
        }
    }
}
