//! A full disk: writes are refused, reads go on, and service resumes by itself when there is space.

use crate::common::client::{Client, Read, Refused, batch};
use crate::common::world;
use ottla::protocol::ErrorCode;
use ottla::runtime::Clock;
use ottla::sim::{Keep, SimClock, SimDisk};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use turmoil::net::TcpStream;

const TOPIC: &str = "orders";

/// Writes batches until one is refused; those that were taken.
async fn fill(
    client: &mut Client<TcpStream>,
    clock: &SimClock,
    written: &mut Vec<Read>,
) -> io::Result<ErrorCode> {
    loop {
        assert!(written.len() < 10_000, "the disk never runs full");
        let value = format!("{}/{}", written.len(), "x".repeat(900)).into_bytes();
        match client
            .produce(TOPIC, 0, -1, batch(clock.wall(), &[&value]))
            .await?
        {
            Ok(offset) => written.push(Read { offset, value }),
            Err(Refused(error)) => return Ok(error),
        }
    }
}

#[test]
fn a_full_disk_refuses_writes_goes_on_reading_and_recovers_by_itself() {
    let clock = SimClock::simulated();
    let disk = SimDisk::new(clock.clone());
    let written: Arc<Mutex<Vec<Read>>> = Arc::default();
    let scene = {
        let (disk, clock, told) = (disk.clone(), clock.clone(), written.clone());
        async move {
            let mut client = world::connect().await;
            client.create_topic(TOPIC, 1, &[]).await?.unwrap();
            let mut written = Vec::new();
            for round in 1..4 {
                disk.set_capacity(Some(disk.used() + round * 50_000));
                let error = fill(&mut client, &clock, &mut written).await?;
                assert_eq!(error, ErrorCode::KafkaStorageError);
                let found = client.read_all(TOPIC, 0, 0).await?.unwrap();
                assert_eq!(found, written, "reads go on, and show nothing half-written");
                disk.set_capacity(None);
                let value = format!("after {round}").into_bytes();
                let again = batch(clock.wall(), &[&value]);
                let offset = client.produce(TOPIC, 0, -1, again).await?.unwrap();
                written.push(Read { offset, value });
            }
            assert_eq!(client.read_all(TOPIC, 0, 0).await?.unwrap(), written);
            *told.lock() = written;
            Ok(())
        }
    };
    world::run(1, &disk, &clock, vec![("client".to_owned(), scene)]).unwrap();

    // Nor does the next start stumble over what the refused writes left.
    let next = disk.crash(Keep::Written, 1);
    let written = std::mem::take(&mut *written.lock());
    assert!(written.len() > 100, "the workload writes");
    let reader = async move {
        let mut client = world::connect().await;
        assert_eq!(client.read_all(TOPIC, 0, 0).await?.unwrap(), written);
        Ok(())
    };
    world::run(2, &next, &clock, vec![("reader".to_owned(), reader)]).unwrap();
}
