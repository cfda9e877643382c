//! kafka-consumer-groups and kafka-groups: every sub command, on groups of the classic protocol.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::checks::{Checked, Failure};
use crate::tools::{CONSOLE_CONSUMER, CONSOLE_PRODUCER, TOPICS, ToolRun};

const CONSUMER_GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const GROUPS: &str = "org.apache.kafka.tools.GroupsCommand";

/// Longest a consumer may take to join and read.
const STABLE_SECONDS_MAX: u64 = 60;

/// A consumer that reads on until it is dropped.
struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl ToolRun {
    /// A topic of one partition with ten records.
    fn ten_records(&self, about: &str) -> Checked<String> {
        let topic = self.name(about);
        self.at_broker(
            TOPICS,
            &["--create", "--topic", &topic, "--partitions", "1"],
            "",
        )?;
        let lines: String = (0..10).map(|i| format!("line {i}\n")).collect();
        self.at_broker(CONSOLE_PRODUCER, &["--topic", &topic], &lines)?;
        Ok(topic)
    }

    /// Has a member of the group read some records of the topic, commit, and leave.
    fn read_and_leave(&self, group: &str, topic: &str, count: &str) -> Checked {
        let args = ["--topic", topic, "--group", group, "--from-beginning"];
        let until = ["--max-messages", count, "--timeout-ms", "60000"];
        let said = self.at_broker(CONSOLE_CONSUMER, &[&args[..], &until].concat(), "")?;
        let read = said.lines().count().to_string();
        if read == count {
            Ok(())
        } else {
            Err(Failure(format!("read {read} records instead of {count}")))
        }
    }

    /// Starts a member that stays: static, with its own client id. Waits until its group is stable.
    fn stay(&self, group: &str, topic: &str) -> Checked<Reader> {
        let args = ["--topic", topic, "--group", group];
        let named = ["client.id=stays", "group.instance.id=the-one"];
        let named = named
            .map(|property| ["--command-property", property])
            .concat();
        let child = self
            .java()
            .arg(CONSOLE_CONSUMER)
            .args(["--bootstrap-server", &self.bootstrap])
            .args(args)
            .args(named)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let reader = Reader(child);
        let deadline = Instant::now() + Duration::from_secs(STABLE_SECONDS_MAX);
        while Instant::now() < deadline {
            let listed = self.groups(&["--list", "--state", "Stable"])?;
            if rows(&listed).iter().any(|row| row[0] == group) {
                return Ok(reader);
            }
        }
        Err(Failure(format!("{group} did not become stable")))
    }

    fn groups(&self, args: &[&str]) -> Checked<String> {
        self.at_broker(CONSUMER_GROUPS, args, "")
    }
}

/// What is printed, in words by line, without empty lines.
fn rows(said: &str) -> Vec<Vec<&str>> {
    said.lines()
        .map(|line| line.split_whitespace().collect::<Vec<&str>>())
        .filter(|words| !words.is_empty())
        .collect()
}

/// The one row that begins with this group's name.
fn row_of<'a>(said: &'a str, group: &str) -> Checked<Vec<&'a str>> {
    let mut found = rows(said).into_iter().filter(|row| row[0] == group);
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        _ => Err(Failure(format!("not one row of {group}: {said}"))),
    }
}

pub(crate) fn list(run: &mut ToolRun) -> Checked {
    let topic = run.ten_records("listed")?;
    let (left, stays) = (run.name("left"), run.name("stays"));
    run.read_and_leave(&left, &topic, "1")?;
    let reader = run.stay(&stays, &topic)?;

    let said = run.groups(&["--list"])?;
    for group in [&left, &stays] {
        let times = said.lines().filter(|line| line == group).count();
        run.checks.equal("lines with a group's name", times, 1)?;
    }
    let said = run.groups(&["--list", "--state"])?;
    for (group, state) in [(&left, "Empty"), (&stays, "Stable")] {
        let row = row_of(&said, group)?;
        run.checks.equal("its state", row, vec![group, state])?;
    }
    let said = run.groups(&["--list", "--state", "empty", "--type", "classic"])?;
    let row = row_of(&said, &left)?;
    run.checks
        .equal("type and state", row, vec![&left, "Classic", "Empty"])?;
    run.checks
        .holds("only empty groups are listed", !said.contains(&stays))?;
    let said = run.groups(&["--list", "--type", "consumer"])?;
    let listed = said.contains(&left) || said.contains(&stays);
    run.checks
        .holds("they are not of the consumer protocol", !listed)?;

    let said = run.at_broker(GROUPS, &["--list"], "")?;
    let row = row_of(&said, &stays)?;
    run.checks
        .equal("in kafka-groups", row, vec![&stays, "Classic", "consumer"])?;
    let said = run.at_broker(GROUPS, &["--list", "--share"], "")?;
    run.checks.holds("no share group", !said.contains(&stays))?;
    drop(reader);
    Ok(())
}

pub(crate) fn describe(run: &mut ToolRun) -> Checked {
    let topic = run.ten_records("described")?;
    let (left, stays) = (run.name("describe-left"), run.name("describe-stays"));
    run.read_and_leave(&left, &topic, "4")?;
    run.read_and_leave(&stays, &topic, "10")?;
    let reader = run.stay(&stays, &topic)?;

    let said = run.groups(&["--describe", "--group", &left])?;
    let row = row_of(&said, &left)?;
    let want = vec![&*left, &*topic, "0", "4", "10", "6", "-", "-", "-"];
    run.checks
        .equal("offsets of a group without members", row, want)?;

    let said = run.groups(&["--describe", "--group", &stays, "--offsets", "--verbose"])?;
    let row = row_of(&said, &stays)?;
    let (member, rest) = (row[7], [&row[..7], &row[8..]].concat());
    let want = vec![
        &*stays,
        &*topic,
        "0",
        "0",
        "10",
        "10",
        "0",
        "/127.0.0.1",
        "stays",
    ];
    run.checks
        .equal("offsets of a group with a member", rest, want)?;
    run.checks
        .holds("the member's id", member.starts_with("the-one-"))?;

    let said = run.groups(&["--describe", "--group", &stays, "--members", "--verbose"])?;
    let assigned = format!("{topic}:0");
    let want = vec![
        &*stays,
        member,
        "the-one",
        "/127.0.0.1",
        "stays",
        "1",
        "-",
        &*assigned,
        "-",
        "-",
    ];
    run.checks
        .equal("the member", row_of(&said, &stays)?, want)?;

    let said = run.groups(&["--describe", "--group", &stays, "--state"])?;
    let row = row_of(&said, &stays)?;
    let coordinator = row[1].to_owned();
    run.checks
        .equal("the coordinator", coordinator, run.bootstrap.clone())?;
    run.checks
        .equal("the state", row[3..].to_vec(), vec!["range", "Stable", "1"])?;

    let missing = run.name("nobody");
    let said = run.groups(&["--describe", "--group", &missing])?;
    let told = said.contains(&format!("Group {missing} not found."));
    run.checks.holds("says that a group does not exist", told)?;
    drop(reader);
    Ok(())
}

/// Where the tool says that it puts the one partition.
fn reset(run: &ToolRun, group: &str, topic: &str, how: &[&str]) -> Checked<String> {
    let mut args = vec!["--reset-offsets", "--group", group, "--topic", topic];
    args.extend(how);
    let said = run.groups(&args)?;
    let row = row_of(&said, group)?;
    if row.len() != 4 || row[1..3] != [topic, "0"] {
        return Err(Failure(format!("not the partition that was meant: {said}")));
    }
    Ok(row[3].to_owned())
}

pub(crate) fn reset_offsets(run: &mut ToolRun) -> Checked {
    let topic = run.ten_records("reset")?;
    let group = run.name("resetting");
    run.read_and_leave(&group, &topic, "4")?;

    let execute = "--execute";
    let ways: &[(&[&str], &str)] = &[
        (&["--to-earliest", "--dry-run"], "0"),
        // Nothing has changed: a dry run says what would be done.
        (&["--to-current", "--dry-run"], "4"),
        (&["--to-latest", execute], "10"),
        (&["--to-current"], "10"),
        (&["--shift-by", "-3", execute], "7"),
        (&["--shift-by", "100", execute], "10"),
        (&["--to-earliest", execute], "0"),
        (&["--to-offset", "2", execute], "2"),
        (&["--to-datetime", "2099-01-01T00:00:00.000", execute], "10"),
        (&["--to-datetime", "2001-01-01T00:00:00.000", execute], "0"),
        (&["--to-offset", "6", execute], "6"),
        (&["--by-duration", "P1D", execute], "0"),
    ];
    for (how, want) in ways {
        let at = reset(run, &group, &topic, how)?;
        run.checks.equal(&how.join(" "), at, (*want).to_owned())?;
    }

    // What is exported can be read back, here for another group.
    let args = ["--reset-offsets", "--group", &group, "--topic", &topic];
    let said = run.groups(&[&args[..], &["--to-offset", "8", "--export"]].concat())?;
    let line = format!("{topic},0,8");
    run.checks.equal("the exported plan", said.trim(), &line)?;
    let other = run.name("reset-from-file");
    let file = std::env::temp_dir().join(format!("{other}.csv"));
    std::fs::write(&file, &said)?;
    let path = file.display().to_string();
    let args = [
        "--reset-offsets",
        "--group",
        &other,
        "--from-file",
        &path,
        execute,
    ];
    let said = run.groups(&args)?;
    std::fs::remove_file(&file)?;
    let row = row_of(&said, &other)?;
    run.checks
        .equal("the plan read back", row, vec![&*other, &*topic, "0", "8"])?;
    let said = run.groups(&["--describe", "--group", &other])?;
    let row = row_of(&said, &other)?;
    run.checks.equal(
        "offset, end and lag",
        row[3..6].to_vec(),
        vec!["8", "10", "2"],
    )?;

    // Not while somebody reads.
    let reader = run.stay(&group, &topic)?;
    let args = [
        "--reset-offsets",
        "--group",
        &group,
        "--topic",
        &topic,
        "--to-earliest",
        execute,
    ];
    let said = run.groups(&args)?;
    let refused = format!("can only be reset if the group '{group}' is inactive");
    run.checks
        .holds("a group with members is refused", said.contains(&refused))?;
    drop(reader);
    Ok(())
}

pub(crate) fn delete(run: &mut ToolRun) -> Checked {
    let (topic, kept) = (run.ten_records("deleted")?, run.ten_records("kept")?);
    let (left, stays) = (run.name("delete-left"), run.name("delete-stays"));
    run.read_and_leave(&left, &topic, "2")?;
    run.read_and_leave(&left, &kept, "3")?;
    let reader = run.stay(&stays, &topic)?;

    let said = run.groups(&["--delete-offsets", "--group", &left, "--topic", &topic])?;
    let told = format!("Request succeeded for deleting offsets from group {left}.");
    run.checks
        .holds("says that the offsets are deleted", said.contains(&told))?;
    let row = row_of(&said, &topic)?;
    run.checks
        .equal("by partition", row, vec![&*topic, "0", "Successful"])?;
    let said = run.groups(&["--describe", "--group", &left])?;
    let row = row_of(&said, &left)?;
    run.checks
        .equal("what is left", row[1..4].to_vec(), vec![&*kept, "0", "3"])?;

    let said = run.groups(&["--delete-offsets", "--group", &stays, "--topic", &topic])?;
    let row = row_of(&said, &topic)?.join(" ");
    let subscribed = "actively subscribed to it";
    run.checks
        .holds("not of a subscribed topic", row.contains(subscribed))?;

    let said = run.groups(&["--delete", "--group", &left, "--group", &stays])?;
    let refused = format!("* Group '{stays}' could not be deleted due to: ");
    let why = said.lines().find_map(|line| line.strip_prefix(&refused));
    let why = why.unwrap_or_default().to_owned();
    let non_empty =
        "org.apache.kafka.common.errors.GroupNotEmptyException: The group is not empty.";
    run.checks.equal("why a group stays", &*why, non_empty)?;
    let told = format!("These consumer groups were deleted successfully: '{left}'");
    run.checks
        .holds("the other is deleted", said.contains(&told))?;
    let said = run.groups(&["--list"])?;
    let listed = [&left, &stays].map(|group| said.lines().any(|line| line == group));
    run.checks
        .equal("groups that are left", listed, [false, true])?;
    drop(reader);
    Ok(())
}
