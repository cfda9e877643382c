use super::*;
use crate::sim::{self, Fault, Operation, SimClock, SimDisk};
use crate::types::{NodeId, Uuid};
use rustix::io::Errno;
use std::io;

const ID: Uuid = Uuid::from_bytes([7; 16]);

fn options(dirs: &[&Path]) -> ManagerOptions {
    ManagerOptions {
        dirs: dirs.iter().map(|dir| dir.to_path_buf()).collect(),
        metadata_dir: None,
        node_id: NodeId(1),
        unformatted: Unformatted::FormatAs {
            cluster_id: "mine".to_owned(),
        },
    }
}

fn open(dirs: &[&Path]) -> LogManager {
    LogManager::open(&os::runtime(), options(dirs)).unwrap()
}

fn refusal(options: ManagerOptions) -> ManagerError {
    LogManager::open(&os::runtime(), options).err().unwrap()
}

fn numbered(number: i32) -> TopicPartition {
    TopicPartition::new(TopicName::parse("orders").unwrap(), number)
}

fn create(manager: &LogManager, number: i32) -> Log {
    let config = LogConfig::default();
    let created = manager.create(numbered(number), ID, config, Wanted::default(), NOW);
    created.unwrap()
}

async fn load(manager: &LogManager) -> Loaded {
    manager
        .load(NOW, 2, |_| LogConfig::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn partitions_come_back_after_both_ways_to_stop() {
    let home = tempfile::tempdir().unwrap();
    let manager = open(&[home.path()]);
    let mut logs: Vec<Log> = (0..5).map(|number| create(&manager, number)).collect();
    for log in &mut logs {
        log.append_as_leader(plain(3, NOW), LeaderEpoch(0), NOW)
            .unwrap();
        log.advance_high_watermark(Offset(2));
    }
    logs[3].set_log_start(Offset(1)).unwrap();
    let views: Vec<LogView> = logs.iter().map(Log::view).collect();
    manager.checkpoint_recovery(&views).unwrap();
    manager.checkpoint_log_starts(&views).unwrap();
    manager.checkpoint_high_watermarks(&views).unwrap();
    drop((manager, logs, views));

    let manager = open(&[home.path()]);
    assert_eq!(manager.previous_broker_epoch(), None);
    let loaded = load(&manager).await;
    assert_eq!(loaded.logs.len(), 5);
    let mut views = Vec::new();
    for (number, mut loaded) in (0i32..).zip(loaded.logs) {
        assert_eq!(*loaded.log.partition(), numbered(number));
        assert_eq!(loaded.topic_id, Some(ID));
        assert_eq!(loaded.recovered.segments_checked, 1);
        assert_eq!(loaded.log.log_end(), Offset(3));
        assert_eq!(loaded.log.high_watermark(), Offset(2));
        assert_eq!(loaded.log.log_start().0, i64::from(number == 3));
        loaded.log.close().unwrap();
        views.push(loaded.log.view());
    }
    manager.close(&views, 42).unwrap();
    drop((manager, views));

    let manager = open(&[home.path()]);
    assert_eq!(manager.previous_broker_epoch(), Some(42));
    assert!(
        !home.path().join(".kafka_cleanshutdown").exists(),
        "gone from the start on"
    );
    for loaded in load(&manager).await.logs {
        assert_eq!(loaded.recovered, Recovered::default());
        assert_eq!(loaded.log.log_end(), Offset(3));
    }
}

#[test]
fn a_log_that_was_not_closed_leaves_no_sign_of_a_clean_stop() {
    let home = tempfile::tempdir().unwrap();
    let manager = open(&[home.path()]);
    let log = create(&manager, 0);
    manager.close(&[log.view()], 1).unwrap();
    assert!(!home.path().join(".kafka_cleanshutdown").exists());
}

#[test]
fn another_cluster_or_node_is_refused_by_both_names() {
    let home = tempfile::tempdir().unwrap();
    drop(open(&[home.path()]));
    let error = refusal(ManagerOptions {
        node_id: NodeId(2),
        ..options(&[home.path()])
    });
    let text = error.to_string();
    assert!(text.contains("node 1") && text.contains("node 2"), "{text}");
    let other = tempfile::tempdir().unwrap();
    let theirs = ManagerOptions {
        unformatted: Unformatted::FormatAs {
            cluster_id: "theirs".to_owned(),
        },
        ..options(&[other.path()])
    };
    drop(LogManager::open(&os::runtime(), theirs).unwrap());
    let text = refusal(options(&[home.path(), other.path()])).to_string();
    assert!(text.contains("mine") && text.contains("theirs"), "{text}");
}

#[test]
fn a_held_lock_a_broken_file_and_a_missing_format_are_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let held = open(&[home.path()]);
    assert!(matches!(
        refusal(options(&[home.path()])),
        ManagerError::Locked { .. }
    ));
    drop(held);
    std::fs::write(home.path().join("meta.properties"), "version=1\n").unwrap();
    assert!(matches!(
        refusal(options(&[home.path()])),
        ManagerError::MetaProperties { .. }
    ));
    let fresh = tempfile::tempdir().unwrap();
    assert!(matches!(
        refusal(ManagerOptions {
            unformatted: Unformatted::Refuse,
            ..options(&[fresh.path()])
        }),
        ManagerError::NotFormatted { .. }
    ));
    assert!(!fresh.path().join("meta.properties").exists());
    let file = fresh.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(
        refusal(options(&[&file])),
        ManagerError::Unusable { .. }
    ));
    assert!(matches!(
        refusal(options(&[fresh.path(), fresh.path()])),
        ManagerError::Twice { .. }
    ));
}

#[tokio::test]
async fn a_deleted_partition_is_gone_at_once_and_its_bytes_after_the_delay() {
    let home = tempfile::tempdir().unwrap();
    let manager = open(&[home.path()]);
    let log = create(&manager, 0);
    manager.delete(log, NOW).unwrap();
    assert!(load(&manager).await.logs.is_empty());
    let names = || -> Vec<String> {
        std::fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("orders"))
            .collect()
    };
    assert!(names()[0].ends_with("-delete"), "{:?}", names());
    // The load above found it as after a restart, when nobody reads it any more.
    manager.empty_trash(NOW);
    assert!(names().is_empty());
}

#[tokio::test]
async fn partitions_go_to_the_directory_that_has_the_fewest() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let manager = open(&[homes[0].path(), homes[1].path()]);
    let logs: Vec<Log> = (0..4).map(|number| create(&manager, number)).collect();
    for home in &homes {
        let here = logs
            .iter()
            .filter(|log| log.view().log_dir() == home.path());
        assert_eq!(here.count(), 2);
    }
    let ids: Vec<Uuid> = manager.directories().iter().map(|dir| dir.id()).collect();
    assert_ne!(ids[0], ids[1]);
    drop((manager, logs));
    let manager = open(&[homes[0].path(), homes[1].path()]);
    let again: Vec<Uuid> = manager.directories().iter().map(|dir| dir.id()).collect();
    assert_eq!(again, ids);
    assert_eq!(load(&manager).await.logs.len(), 4);
}

/// Two directories, `/a` and `/b`. The next partition would lie in `/a`, but that refuses its directory with `error`.
fn refusing_first(error: Errno) -> LogManager {
    let (disk, runtime) = sim::on_empty_disk(&SimClock::manual());
    let manager = LogManager::open(&runtime, options(&[Path::new("/a"), Path::new("/b")]));
    disk.fail(Fault::once(Operation::CreateDir, "/a/orders", error));
    manager.unwrap()
}

#[test]
fn a_directory_that_fails_at_a_new_partition_gives_way_to_the_next_and_is_offline() {
    let manager = refusing_first(Errno::IO);
    assert_eq!(create(&manager, 0).view().log_dir(), Path::new("/b"));
    assert!(!manager.directories()[0].is_online());
}

#[test]
fn a_full_directory_gives_way_to_the_next_and_stays() {
    let manager = refusing_first(Errno::NOSPC);
    assert_eq!(create(&manager, 0).view().log_dir(), Path::new("/b"));
    assert!(manager.directories()[0].is_online());
    assert_eq!(create(&manager, 1).view().log_dir(), Path::new("/a"));
}

#[test]
fn a_partition_that_is_assigned_to_a_directory_goes_to_no_other() {
    let manager = refusing_first(Errno::IO);
    let wanted = Wanted {
        directory: manager.directories()[0].id(),
        ..Wanted::default()
    };
    let refused = manager.create(numbered(0), ID, LogConfig::default(), wanted, NOW);
    assert!(matches!(refused, Err(CreateError::Open(_))));
    assert!(!manager.directories()[0].is_online());
}

#[tokio::test]
async fn a_partition_in_two_directories_and_a_foreign_one_are_refused() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let manager = open(&[homes[0].path(), homes[1].path()]);
    for home in &homes {
        std::fs::create_dir(home.path().join("orders-0")).unwrap();
    }
    let config = |_: &TopicPartition| LogConfig::default();
    assert!(matches!(
        manager.load(NOW, 2, config).await,
        Err(LoadError::TwoDirectories { .. })
    ));
    std::fs::remove_dir(homes[0].path().join("orders-0")).unwrap();
    std::fs::create_dir(homes[0].path().join("holiday pictures")).unwrap();
    assert!(matches!(
        manager.load(NOW, 2, config).await,
        Err(LoadError::ForeignDirectory { .. })
    ));
}

#[test]
fn the_metadata_log_lies_in_its_own_directory_and_is_not_a_partition() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let manager = LogManager::open(
        &os::runtime(),
        ManagerOptions {
            metadata_dir: Some(homes[1].path().to_path_buf()),
            ..options(&[homes[0].path(), homes[1].path()])
        },
    )
    .unwrap();
    let (mut log, _) = manager
        .open_metadata_log(LogConfig::default(), NOW)
        .unwrap();
    log.append_as_leader(plain(1, NOW), LeaderEpoch(1), NOW)
        .unwrap();
    assert_eq!(log.dir(), homes[1].path().join("__cluster_metadata-0"));
    assert_eq!(log.topic_id().unwrap(), Some(Uuid::METADATA_TOPIC));
    drop(log);
    let (log, _) = manager
        .open_metadata_log(LogConfig::default(), NOW)
        .unwrap();
    assert_eq!(log.log_end(), Offset(1));
}

/// A log of three records that are not synced, and the manager of its directory.
fn one_log_on_a_simulated_disk() -> (SimDisk, LogManager, Log) {
    let (disk, runtime) = sim::on_empty_disk(&SimClock::manual());
    let manager = LogManager::open(&runtime, options(&[Path::new("/data")])).unwrap();
    let mut log = create(&manager, 0);
    log.append_as_leader(plain(3, NOW), LeaderEpoch(0), NOW)
        .unwrap();
    (disk, manager, log)
}

/// A checkpoint is a new file beside the old one, so it is the first thing that a full disk refuses.
#[test]
fn a_checkpoint_that_finds_the_disk_full_fails_alone_and_the_directory_stays() {
    let (disk, manager, mut log) = one_log_on_a_simulated_disk();
    log.advance_high_watermark(Offset(3));
    disk.set_capacity(Some(disk.used()));
    let refused = manager.checkpoint_high_watermarks(&[log.view()]);
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(manager.directories()[0].is_online());
    disk.set_capacity(None);
    manager.checkpoint_high_watermarks(&[log.view()]).unwrap();
    let written = disk.get("/data/replication-offset-checkpoint").unwrap();
    assert!(String::from_utf8(written).unwrap().ends_with(" 0 3\n"));
}

/// The epochs are written before the batches are synced. That they found the disk full took the log directory
/// offline for good, as if a sync had failed.
#[test]
fn a_flush_that_finds_no_room_for_the_epochs_is_made_again() {
    let (disk, manager, mut log) = one_log_on_a_simulated_disk();
    disk.set_capacity(Some(disk.used()));
    assert!(log.flush().is_err());
    assert!(manager.directories()[0].is_online());
    assert_eq!(log.recovery_point(), Offset::ZERO);
    disk.set_capacity(None);
    log.flush().unwrap();
    assert_eq!(log.recovery_point(), Offset(3));
    let path = log.dir().join("leader-epoch-checkpoint");
    let written = disk.get(path.to_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), "0\n1\n0 0\n");
}
