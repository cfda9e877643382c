//! More partitions than the process may have open files.

use crate::common::client::batch;
use crate::common::process::Broker;
use ottla::types::Timestamp;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 300;
const OPEN_FILES: u32 = 64;

/// Each partition once had an open file of its own for as long as the broker ran, so that `ulimit -n` bounded the
/// partitions.
#[tokio::test]
async fn five_times_as_many_partitions_as_open_files_are_written_and_read_and_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start_within(OPEN_FILES, dir.path());
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, PARTITIONS, &[]).await;
    for round in 0..2 {
        for partition in 0..PARTITIONS {
            let record = batch(Timestamp(1_000), &[value(partition, round)]);
            let written = client.produce(TOPIC, partition, -1, record).await;
            written.unwrap().unwrap();
        }
    }
    broker.kill();

    let broker = Broker::start_within(OPEN_FILES, dir.path());
    let mut client = broker.connect().await;
    for partition in 0..PARTITIONS {
        let found = client.read_all(TOPIC, partition, 0).await;
        let values: Vec<_> = found
            .unwrap()
            .unwrap()
            .into_iter()
            .map(|read| read.value)
            .collect();
        assert_eq!(values, [value(partition, 0), value(partition, 1)]);
    }
    broker.stop();
}

fn value(partition: i32, round: i32) -> Vec<u8> {
    format!("{partition}/{round}").into_bytes()
}
