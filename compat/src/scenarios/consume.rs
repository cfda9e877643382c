//! Reading without a group: many partitions, sizes, waiting, start offsets, timestamps, resets.

use serde_json::{Value, json};

use crate::checks::{Checked, Failure};
use crate::context::{Context, From, Generated, records};
use crate::driver::Reply;

fn fill(cx: &mut Context, partitions: usize, sent: &Generated) -> Checked<String> {
    let topic = cx.create_topic("filled", partitions)?;
    cx.produce(&topic, sent, json!({"acks": "all", "linger_ms": 5}))?;
    Ok(topic)
}

pub(super) fn many_partitions(cx: &mut Context) -> Checked {
    let sent = Generated {
        count: 6000,
        prefix: "spread",
        size: 64,
        partitions: (0..12).collect(),
    };
    let topic = fill(cx, 12, &sent)?;
    let assign: Vec<_> = (0..12)
        .map(|p| (topic.as_str(), p, From::Beginning))
        .collect();
    let got = cx.consume(&assign, sent.count, json!({}))?;
    for partition in 0..12 {
        cx.check_contents(&got, &sent, partition, 0)?;
    }
    Ok(())
}

pub(super) fn fetch_small(cx: &mut Context) -> Checked {
    let sent = Generated {
        count: 30_000,
        prefix: "s",
        size: 8,
        partitions: vec![0],
    };
    let topic = fill(cx, 1, &sent)?;
    let config = json!({"partition_max_bytes": 20_000, "max_bytes": 20_000});
    let got = cx.consume(&[(&topic, 0, From::Beginning)], sent.count, config)?;
    cx.check_contents(&got, &sent, 0, 0)
}

pub(super) fn fetch_big(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("big", 3)?;
    let sent = Generated {
        count: 9,
        prefix: "b",
        size: 700_000,
        partitions: vec![0, 1, 2],
    };
    cx.produce(&topic, &sent, json!({"acks": "all"}))?;
    // Every record is larger than both limits; the first one of a response comes all the same.
    let config = json!({"partition_max_bytes": 50_000, "max_bytes": 60_000});
    let assign: Vec<_> = (0..3)
        .map(|p| (topic.as_str(), p, From::Beginning))
        .collect();
    let got = cx.consume(&assign, sent.count, config)?;
    for partition in 0..3 {
        cx.check_contents(&got, &sent, partition, 0)?;
    }
    Ok(())
}

pub(super) fn fetch_wait(cx: &mut Context) -> Checked {
    let sent = Generated {
        count: 20,
        prefix: "w",
        size: 20,
        partitions: vec![0],
    };
    let topic = fill(cx, 1, &sent)?;
    // More bytes are asked for than there are: the answer must come when the wait is over.
    let config = json!({"min_bytes": 1_000_000, "wait_ms": 700});
    let got = cx.consume(&[(&topic, 0, From::Beginning)], sent.count, config)?;
    cx.check_contents(&got, &sent, 0, 0)
}

pub(super) fn read_committed(cx: &mut Context) -> Checked {
    let sent = Generated {
        count: 500,
        prefix: "c",
        size: 40,
        partitions: vec![0, 1],
    };
    let topic = fill(cx, 2, &sent)?;
    let assign = [
        (topic.as_str(), 0, From::Beginning),
        (topic.as_str(), 1, From::Beginning),
    ];
    let got = cx.consume(&assign, sent.count, json!({"isolation": "read_committed"}))?;
    cx.check_contents(&got, &sent, 0, 0)?;
    cx.check_contents(&got, &sent, 1, 0)
}

pub(super) fn start_offset(cx: &mut Context) -> Checked {
    let sent = Generated {
        count: 100,
        prefix: "p",
        size: 20,
        partitions: vec![0],
    };
    let topic = fill(cx, 1, &sent)?;
    let all = cx.consume(&[(&topic, 0, From::Beginning)], 100, json!({}))?;
    cx.check_contents(&all, &sent, 0, 0)?;
    let tail = cx.consume(&[(&topic, 0, From::Offset(37))], 63, json!({}))?;
    cx.checks
        .equal("records from offset 37", tail, all[37..].to_vec())?;
    // From the end nothing old may come; a record that is written while it waits must.
    let answer = cx.call(
        "consume",
        json!({
            "assign": [[topic, 0, "end"]],
            "count": 2,
            "timeout_ms": 40_000,
            "config": {},
            "produce_when_positioned": {"count": 2, "prefix": "new", "size": 10, "partition": 0},
        }),
    )?;
    let new: Vec<(i64, Option<String>)> = records(&answer["records"])?
        .into_iter()
        .map(|r| (r.offset, r.value))
        .collect();
    let want = |i: i64| (100 + i, Some(format!("{:.<10}", format!("new{i}"))));
    cx.checks
        .equal("records from the end", new, vec![want(0), want(1)])
}

pub(super) fn offsets_for_times(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("timed", 1)?;
    let base = 1_700_000_000_000_i64;
    let sent: Vec<Value> = (0..50)
        .map(|i| json!({"partition": 0, "value": format!("t{i}"), "timestamp": base + i * 1000}))
        .collect();
    cx.produce_records(&topic, json!(sent), json!({"acks": "all"}))?;
    for (at, want) in [
        (json!("earliest"), Some(0)),
        (json!("latest"), Some(50)),
        (json!(base - 5), Some(0)),
        (json!(base), Some(0)),
        (json!(base + 1), Some(1)),
        (json!(base + 20_000), Some(20)),
        (json!(base + 48_500), Some(49)),
        (json!(base + 49_000), Some(49)),
    ] {
        let got = cx.offset_at(&topic, 0, at.clone())?;
        cx.checks.equal(&format!("offset at {at}"), got, want)?;
    }
    // Past the last record there is none. Some clients turn that into the end of the partition.
    let past = cx.offset_at(&topic, 0, json!(base + 49_001))?;
    cx.checks.holds(
        &format!("no record after the last: {past:?}"),
        past.is_none_or(|o| o == 50),
    )
}

pub(super) fn max_timestamp(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("timed", 1)?;
    let base = 1_700_000_000_000_i64;
    let empty = cx.offset_at(&topic, 0, json!("max_timestamp"))?;
    cx.checks.equal("of an empty partition", empty, None)?;
    let sent: Vec<Value> = [5, 9, 7, 9, 1]
        .iter()
        .map(|s| json!({"partition": 0, "value": "t", "timestamp": base + s * 1000}))
        .collect();
    cx.produce_records(&topic, json!(sent), json!({"acks": "all"}))?;
    let got = cx.offset_at(&topic, 0, json!("max_timestamp"))?;
    cx.checks.equal("of five records", got, Some(1))
}

/// Reads from far beyond the end with this reset policy, and writes two records while it waits.
fn out_of_range(cx: &mut Context, policy: &str) -> Checked<Reply> {
    let sent = Generated {
        count: 30,
        prefix: "r",
        size: 20,
        partitions: vec![0],
    };
    let topic = fill(cx, 1, &sent)?;
    let count = if policy == "earliest" { 30 } else { 2 };
    let mut args = json!({
        "assign": [[topic, 0, 5000]],
        "count": count,
        "timeout_ms": 20_000,
        "config": {"reset": policy},
    });
    if policy == "latest" {
        args["produce_when_positioned"] =
            json!({"count": 2, "prefix": "new", "size": 10, "partition": 0});
    }
    cx.try_call("consume", args)
}

fn offsets_read(reply: Reply) -> Checked<Vec<i64>> {
    match reply {
        Reply::Ok(answer) => Ok(records(&answer["records"])?
            .into_iter()
            .map(|record| record.offset)
            .collect()),
        Reply::Error { message, .. } => Err(Failure(message)),
    }
}

pub(super) fn reset_earliest(cx: &mut Context) -> Checked {
    let got = offsets_read(out_of_range(cx, "earliest")?)?;
    cx.checks.equal("offsets", got, (0..30).collect())
}

pub(super) fn reset_latest(cx: &mut Context) -> Checked {
    let got = offsets_read(out_of_range(cx, "latest")?)?;
    cx.checks.equal("offsets", got, vec![30, 31])
}

pub(super) fn reset_none(cx: &mut Context) -> Checked {
    match out_of_range(cx, "none")? {
        Reply::Ok(answer) => Err(Failure(format!("no error, but {answer}"))),
        Reply::Error { code, message } => {
            cx.checks
                .equal(&format!("error ({message})"), code, Some(1))
        }
    }
}
