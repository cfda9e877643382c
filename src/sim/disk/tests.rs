use super::*;
use crate::runtime::{read_whole, write_whole};
use crate::sim::SimClock;
use rustix::io::Errno;

fn disk() -> SimDisk {
    let disk = SimDisk::new(SimClock::manual());
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn write(file: &dyn File, bytes: &[u8], position: u64) -> io::Result<()> {
    file.write_at(&mut [IoSlice::new(bytes)], position)
}

/// A file whose name and first bytes are durable.
fn durable_file(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.open(Path::new(path), Open::CreateNew).unwrap();
    write(&*file, bytes, 0).unwrap();
    file.sync(Sync::All).unwrap();
    disk.sync_dir(Path::new(path).parent().unwrap()).unwrap();
    file
}

#[test]
fn what_was_written_is_read_wherever_pages_begin_and_end() {
    let disk = disk();
    let file = disk.open(Path::new("/data/f"), Open::Create).unwrap();
    let bytes: Vec<u8> = (0..10_000u32).map(|n| n.to_be_bytes()[3]).collect();
    file.write_at(
        &mut [IoSlice::new(&bytes[..100]), IoSlice::new(&bytes[100..])],
        4_000,
    )
    .unwrap();
    assert_eq!(file.len().unwrap(), 14_000);
    let mut read = vec![1; 20_000];
    assert_eq!(file.read_at(&mut read, 0).unwrap(), 14_000);
    assert_eq!(read[..4_000], vec![0; 4_000]);
    assert_eq!(read[4_000..14_000], bytes);
    assert_eq!(file.read_at(&mut read, 14_000).unwrap(), 0);
    assert_eq!(disk.used(), 4 * 4096);
}

#[test]
fn a_file_cut_and_grown_again_shows_zeros() {
    let disk = disk();
    let file = durable_file(&disk, "/data/f", &[7; 5_000]);
    file.set_len(4_500).unwrap();
    file.set_len(9_000).unwrap();
    let bytes = disk.get("/data/f").unwrap();
    assert_eq!(bytes[..4_500], [7; 4_500]);
    assert_eq!(bytes[4_500..], [0; 4_500]);
}

#[test]
fn opening_follows_the_way_asked_for() {
    let disk = disk();
    let path = Path::new("/data/f");
    assert_eq!(
        disk.open(path, Open::Write).err().unwrap().kind(),
        io::ErrorKind::NotFound
    );
    durable_file(&disk, "/data/f", b"old");
    assert_eq!(
        disk.open(path, Open::CreateNew).err().unwrap().kind(),
        io::ErrorKind::AlreadyExists
    );
    assert_eq!(disk.open(path, Open::Create).unwrap().len().unwrap(), 3);
    let reader = disk.open(path, Open::Read).unwrap();
    assert!(write(&*reader, b"x", 0).is_err());
    assert_eq!(disk.open(path, Open::Truncate).unwrap().len().unwrap(), 0);
    assert!(disk.open(Path::new("/nowhere/f"), Open::Create).is_err());
    assert!(disk.open(Path::new("/data"), Open::Read).is_err());
}

#[test]
fn a_handle_outlives_the_name_of_its_file() {
    let disk = disk();
    let file = durable_file(&disk, "/data/f", b"still here");
    disk.remove_file(Path::new("/data/f")).unwrap();
    assert!(!disk.exists(Path::new("/data/f")));
    let mut read = [0; 10];
    assert_eq!(file.read_at(&mut read, 0).unwrap(), 10);
    assert_eq!(&read, b"still here");
    assert_eq!(disk.open_files(), 1);
    drop(file);
    assert_eq!(disk.open_files(), 0);
}

#[test]
fn a_process_kill_keeps_every_finished_write() {
    let disk = disk();
    let file = disk.open(Path::new("/data/f"), Open::Create).unwrap();
    write(&*file, b"never synced", 0).unwrap();
    let next = disk.crash(Keep::Written, 1);
    assert_eq!(next.get("/data/f").unwrap(), b"never synced");
    assert!(write(&*file, b"x", 0).is_err(), "the old process is dead");
    // The page cache is still only that.
    let after_power_loss = next.crash(Keep::Synced, 1);
    assert!(after_power_loss.files().is_empty());
}

#[test]
fn a_power_loss_keeps_what_was_synced_and_may_keep_nothing_else() {
    let disk = disk();
    let file = durable_file(&disk, "/data/f", b"synced ");
    write(&*file, b"not synced", 7).unwrap();
    let next = disk.snapshot().crash(Keep::Synced, 1);
    assert_eq!(next.get("/data/f").unwrap(), b"synced ");
    file.sync(Sync::Data).unwrap();
    let next = disk.crash(Keep::Synced, 1);
    assert_eq!(next.get("/data/f").unwrap(), b"synced not synced");
}

#[test]
fn a_synced_file_without_a_synced_name_is_lost() {
    let disk = disk();
    let file = disk.open(Path::new("/data/f"), Open::CreateNew).unwrap();
    write(&*file, b"bytes", 0).unwrap();
    file.sync(Sync::All).unwrap();
    assert!(disk.snapshot().crash(Keep::Synced, 1).files().is_empty());
    disk.sync_dir(Path::new("/data")).unwrap();
    let next = disk.crash(Keep::Synced, 1);
    assert_eq!(next.get("/data/f").unwrap(), b"bytes");
}

#[test]
fn a_rename_is_found_whole_or_not_at_all() {
    let disk = disk();
    disk.create_dir_all(Path::new("/data/other")).unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    durable_file(&disk, "/data/a", b"moved");
    disk.rename(Path::new("/data/a"), Path::new("/data/other/b"))
        .unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..50 {
        let next = disk.snapshot().crash(Keep::Torn, seed);
        let names: Vec<PathBuf> = next.files().into_iter().map(|(path, _)| path).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        seen.insert(names[0].clone());
    }
    assert_eq!(seen.len(), 2, "both ends are possible");
    // Either directory's sync settles both.
    disk.sync_dir(Path::new("/data")).unwrap();
    let next = disk.crash(Keep::Synced, 1);
    assert_eq!(next.get("/data/other/b").unwrap(), b"moved");
    assert!(!next.exists(Path::new("/data/a")));
}

#[test]
fn replacing_a_file_whole_leaves_the_old_or_the_new_bytes_at_every_crash() {
    let start = disk();
    write_whole(&start, Path::new("/data/f"), &[1; 2_000]).unwrap();
    let whole = start.snapshot();
    write_whole(&whole, Path::new("/data/f"), &[2; 3_000]).unwrap();
    assert_eq!(whole.operations(), 5, "create, write, sync, rename, sync");
    for at in 0..=whole.operations() {
        for keep in Keep::ALL {
            for seed in 0..20 {
                let disk = start.snapshot();
                disk.crash_at(at);
                let done = write_whole(&disk, Path::new("/data/f"), &[2; 3_000]).is_ok();
                let next = disk.crash(keep, seed);
                let found = read_whole(&next, Path::new("/data/f")).unwrap();
                assert!(found == [2; 3_000] || (!done && found == [1; 2_000]));
            }
        }
    }
}

#[test]
fn forgetting_the_sync_before_a_rename_is_found() {
    let start = disk();
    durable_file(&start, "/data/f", &[1; 2_000]);
    start.lie(Operation::Sync, ".tmp");
    write_whole(&start, Path::new("/data/f"), &[2; 3_000]).unwrap();
    let broken = (0..20).any(|seed| {
        let found = start.snapshot().crash(Keep::Torn, seed).get("/data/f");
        found.unwrap() != [2; 3_000]
    });
    assert!(broken);
    let zeroed = start.crash(Keep::Names, 1).get("/data/f").unwrap();
    assert_eq!(zeroed, [0; 3_000]);
}

#[test]
fn unsynced_writes_arrive_torn_and_out_of_order_but_synced_ones_stay() {
    let disk = disk();
    let file = durable_file(&disk, "/data/f", &[1; 1_024]);
    write(&*file, &[2; 2_048], 1_024).unwrap();
    write(&*file, &[3; 2_048], 3_072).unwrap();
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let bytes = disk
            .snapshot()
            .crash(Keep::Torn, seed)
            .get("/data/f")
            .unwrap();
        assert_eq!(bytes[..1_024], [1; 1_024], "synced bytes are never touched");
        for sector in bytes.chunks(512) {
            assert!(
                sector.iter().all(|byte| *byte == sector[0]),
                "sectors are whole"
            );
        }
        found.insert(bytes);
    }
    assert!(found.len() > 20, "only {} states", found.len());
    assert!(
        found.iter().any(|bytes| bytes.len() == 5_120
            && bytes[1_024..3_072] == [0; 2_048]
            && bytes[3_072..].contains(&3)),
        "the later write without the earlier one"
    );
}

#[test]
fn a_cut_is_found_before_whatever_was_written_after_it() {
    let disk = disk();
    let file = durable_file(&disk, "/data/f", &[1; 4_096]);
    file.set_len(512).unwrap();
    write(&*file, &[2; 512], 512).unwrap();
    for seed in 0..100 {
        let bytes = disk
            .snapshot()
            .crash(Keep::Torn, seed)
            .get("/data/f")
            .unwrap();
        assert!(
            !(bytes.contains(&2) && bytes.len() > 1_024),
            "old bytes behind new ones"
        );
    }
}

#[test]
fn a_crash_at_an_operation_stops_it_and_all_that_follow() {
    let disk = disk();
    let file = durable_file(&disk, "/data/f", b"before");
    disk.crash_at(disk.operations());
    assert!(write(&*file, b"AFTER!", 0).is_err());
    assert!(disk.is_dead());
    assert!(file.len().is_err());
    assert!(disk.list(Path::new("/data")).is_err());
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let bytes = disk.crash(Keep::Written, seed).get("/data/f").unwrap();
        let kept = bytes
            .iter()
            .zip(b"AFTER!")
            .take_while(|(a, b)| a == b)
            .count();
        assert_eq!(
            bytes[kept..],
            b"before"[kept..],
            "a first part of the write"
        );
        lengths.insert(kept);
    }
    assert!(lengths.len() > 3);
}

#[test]
fn an_observer_sees_the_disk_before_every_change() {
    let disk = disk();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    disk.observe(move |record, before| {
        let at_power_loss = before.crash(Keep::Synced, 1);
        kept.lock()
            .push((record.operation, at_power_loss.files().len()));
    });
    durable_file(&disk, "/data/f", b"bytes");
    write(
        &*disk.open(Path::new("/data/g"), Open::Create).unwrap(),
        b"x",
        0,
    )
    .unwrap();
    assert_eq!(
        *seen.lock(),
        [
            (Operation::Create, 0),
            (Operation::Write, 0),
            (Operation::Sync, 0),
            (Operation::SyncDir, 0),
            (Operation::Create, 1),
            (Operation::Write, 1),
        ]
    );
}

#[test]
fn a_failed_sync_loses_the_writes_that_readers_still_see() {
    let disk = disk();
    let file = durable_file(&disk, "/data/f", b"old ");
    write(&*file, b"lost", 4).unwrap();
    disk.fail(Fault::once(Operation::Sync, "/f", Errno::IO));
    assert!(file.sync(Sync::Data).is_err());
    assert_eq!(disk.get("/data/f").unwrap(), b"old lost");
    write(&*file, b" new", 8).unwrap();
    file.sync(Sync::Data).unwrap();
    let next = disk.crash(Keep::Synced, 1);
    assert_eq!(next.get("/data/f").unwrap(), b"old \0\0\0\0 new");
}

#[test]
fn faults_hit_the_operation_the_path_and_the_turn_they_name() {
    let disk = disk();
    disk.fail(Fault {
        after: 1,
        times: 2,
        ..Fault::once(Operation::Write, ".log", Errno::IO)
    });
    let log = disk.open(Path::new("/data/0.log"), Open::Create).unwrap();
    let other = disk.open(Path::new("/data/0.index"), Open::Create).unwrap();
    let mut results = Vec::new();
    for position in 0..4 {
        results.push(write(&*log, b"x", position).is_ok());
        write(&*other, b"x", position).unwrap();
    }
    assert_eq!(results, [true, false, false, true]);
    disk.fail(Fault::once(Operation::Write, "", Errno::IO));
    disk.heal();
    write(&*log, b"x", 0).unwrap();
}

#[test]
fn a_full_disk_refuses_writes_and_leaves_a_part_of_them() {
    let disk = disk();
    let file = disk.open(Path::new("/data/f"), Open::Create).unwrap();
    disk.set_capacity(Some(3 * 4096));
    write(&*file, &[1; 8_192], 0).unwrap();
    let error = write(&*file, &[2; 8_192], 8_192).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
    assert_eq!(file.len().unwrap(), 8_192 + 4_096, "half of it fitted");
    assert!(file.reserve(12_288, 1).is_err());
    assert_eq!(file.read_at(&mut [0; 10], 0).unwrap(), 10, "reads go on");
    write(&*file, &[3; 100], 0).unwrap();
    disk.set_capacity(None);
    write(&*file, &[2; 8_192], 8_192).unwrap();
}

#[test]
fn a_lock_is_held_by_one_until_it_is_dropped_or_its_process_dies() {
    let disk = disk();
    let path = Path::new("/data/.lock");
    let held = disk.lock(path).unwrap();
    assert_eq!(
        disk.lock(path).err().unwrap().kind(),
        io::ErrorKind::WouldBlock
    );
    drop(held);
    let held = disk.lock(path).unwrap();
    let next = disk.crash(Keep::Written, 1);
    next.lock(path).unwrap();
    drop(held);
}

#[test]
fn a_flipped_bit_is_there_after_a_crash() {
    let disk = disk();
    durable_file(&disk, "/data/f", &[0b1000; 600]);
    disk.flip("/data/f", 599, 0).unwrap();
    assert_eq!(disk.get("/data/f").unwrap()[599], 0b1001);
    let next = disk.crash(Keep::Synced, 1);
    assert_eq!(next.get("/data/f").unwrap()[598..], [0b1000, 0b1001]);
}

#[test]
fn the_same_operations_have_the_same_trace_and_others_another() {
    let run = |byte: u8| {
        let disk = disk();
        disk.keep_records();
        durable_file(&disk, "/data/f", &[byte; 10]);
        assert_eq!(disk.records().len(), 4);
        disk.trace()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn removing_a_directory_is_one_operation_for_each_name() {
    let disk = disk();
    durable_file(
        &disk,
        "/data/topic-0/f".replace("topic-0/", "").as_str(),
        b"x",
    );
    disk.create_dir_all(Path::new("/data/topic-0/inner"))
        .unwrap();
    drop(
        disk.open(Path::new("/data/topic-0/a"), Open::Create)
            .unwrap(),
    );
    let before = disk.operations();
    disk.remove_dir_all(Path::new("/data/topic-0")).unwrap();
    assert_eq!(disk.operations() - before, 3);
    let names: Vec<String> = disk
        .list(Path::new("/data"))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["f"]);
}
