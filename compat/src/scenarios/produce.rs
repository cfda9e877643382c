//! Producing: contents, codecs, acknowledgements, idempotence, limits and order.

use serde_json::{Value, json};

use crate::checks::{Checked, Failure};
use crate::context::{Ack, Context, From, Generated, Record, as_reported};
use crate::driver::Reply;

pub(super) fn round_trip(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("mixed", 1)?;
    // 2024-02-29T12:00:00Z and neighbours, so that no clock is involved.
    let at = |ms: i64| 1_709_208_000_000 + ms;
    let text = |s: &str| Some(s.to_owned());
    let header = |k: &str, v: Option<&str>| (k.to_owned(), v.map(str::to_owned));
    let want = vec![
        (text("key"), text("value"), vec![], at(0)),
        (None, text("no key"), vec![], at(1)),
        (text("gone"), None, vec![], at(2)),
        (text(""), text(""), vec![], at(3)),
        (
            text("häßlich ✓"),
            text("日本語 text"),
            vec![header("h", Some("één"))],
            at(4),
        ),
        (
            text("headers"),
            text("three"),
            vec![
                header("a", Some("1")),
                header("a", Some("2")),
                header("b", Some("")),
            ],
            at(5),
        ),
        (
            text("long"),
            Some("x".repeat(5000)),
            vec![header("long", Some(&"y".repeat(300)))],
            at(6),
        ),
        // Time does not have to go forward.
        (text("early"), text("late"), vec![], at(-86_400_000)),
    ];
    let sent: Vec<Value> = want
        .iter()
        .map(|(key, value, headers, timestamp)| {
            json!({"partition": 0, "key": key, "value": value, "headers": headers, "timestamp": timestamp})
        })
        .collect();
    let acks = cx.produce_records(&topic, json!(sent), json!({"acks": "all"}))?;
    let offsets: Vec<i64> = acks.iter().map(|ack| ack.offset).collect();
    cx.checks
        .equal("acknowledged offsets", offsets, (0..8).collect())?;
    let got = cx.consume(&[(&topic, 0, From::Beginning)], want.len(), json!({}))?;
    for (record, (offset, (key, value, headers, timestamp))) in got.into_iter().zip((0..).zip(want))
    {
        let want = Record {
            topic: topic.clone(),
            partition: 0,
            offset,
            timestamp,
            key,
            value: value.map(as_reported),
            headers,
        };
        cx.checks.equal("record", record, want)?;
    }
    Ok(())
}

/// Produces and reads back; the acknowledged offsets and the contents must be exact.
fn through(cx: &mut Context, records: &Generated, config: Value) -> Checked {
    let topic = cx.create_topic("through", records.partitions.len())?;
    let exact = config["acks"] != json!("0");
    let acks = cx.produce(&topic, records, config)?;
    cx.checks.equal("acknowledged", acks.len(), records.count)?;
    let assign: Vec<(&str, i64, From)> = records
        .partitions
        .iter()
        .map(|p| (topic.as_str(), *p, From::Beginning))
        .collect();
    let got = cx.consume(&assign, records.count, json!({}))?;
    for partition in &records.partitions {
        cx.check_contents(&got, records, *partition, 0)?;
        let end = cx.offset_at(&topic, *partition, json!("latest"))?;
        let sent = records.sent_to(*partition);
        cx.checks
            .equal("end of the partition", end, i64::try_from(sent.len()).ok())?;
        if exact {
            let acknowledged: Vec<i64> = sent.iter().map(|i| acks[*i].offset).collect();
            cx.checks.equal(
                "acknowledged offsets",
                acknowledged,
                (0..).take(sent.len()).collect(),
            )?;
        }
    }
    Ok(())
}

fn codec(cx: &mut Context, codec: &str) -> Checked {
    let records = Generated {
        count: 600,
        prefix: "codec",
        size: 100,
        partitions: vec![0, 1],
    };
    through(
        cx,
        &records,
        json!({"acks": "all", "codec": codec, "linger_ms": 20}),
    )?;
    // One large compressible record: a batch far smaller than what it unpacks to.
    let big = Generated {
        count: 4,
        prefix: "big",
        size: 300_000,
        partitions: vec![0],
    };
    through(cx, &big, json!({"acks": "all", "codec": codec}))
}

pub(super) fn codec_none(cx: &mut Context) -> Checked {
    codec(cx, "none")
}

pub(super) fn codec_gzip(cx: &mut Context) -> Checked {
    codec(cx, "gzip")
}

pub(super) fn codec_snappy(cx: &mut Context) -> Checked {
    codec(cx, "snappy")
}

pub(super) fn codec_lz4(cx: &mut Context) -> Checked {
    codec(cx, "lz4")
}

pub(super) fn codec_zstd(cx: &mut Context) -> Checked {
    codec(cx, "zstd")
}

pub(super) fn acks_none(cx: &mut Context) -> Checked {
    let records = Generated {
        count: 300,
        prefix: "zero",
        size: 50,
        partitions: vec![0],
    };
    through(cx, &records, json!({"acks": "0"}))
}

pub(super) fn acks_leader(cx: &mut Context) -> Checked {
    let records = Generated {
        count: 300,
        prefix: "one",
        size: 50,
        partitions: vec![0],
    };
    through(cx, &records, json!({"acks": "1"}))
}

pub(super) fn acks_all(cx: &mut Context) -> Checked {
    let records = Generated {
        count: 300,
        prefix: "all",
        size: 50,
        partitions: vec![0],
    };
    through(cx, &records, json!({"acks": "all"}))
}

pub(super) fn idempotent(cx: &mut Context) -> Checked {
    let records = Generated {
        count: 6000,
        prefix: "once",
        size: 60,
        partitions: vec![0, 1, 2],
    };
    let config = json!({"acks": "all", "idempotent": true, "linger_ms": 2, "batch_bytes": 4000});
    through(cx, &records, config)
}

pub(super) fn size_limit(cx: &mut Context) -> Checked {
    let topic = cx.create_topic("big", 1)?;
    // message.max.bytes is 1,048,588. A batch of one record without key and headers has 72 bytes
    // beside the value: 61 of batch header, 11 of record.
    const VALUE_BYTES_MAX: usize = 1_048_588 - 72;
    let config = json!({"acks": "all", "max_request_bytes": 5_000_000});
    let record = |size: usize| json!([{"partition": 0, "value": "v".repeat(size)}]);
    let acks = cx.produce_records(&topic, record(VALUE_BYTES_MAX), config.clone())?;
    cx.checks.equal(
        "the largest batch",
        acks,
        vec![Ack {
            partition: 0,
            offset: 0,
        }],
    )?;
    for size in [VALUE_BYTES_MAX + 1, 3_000_000] {
        let args = json!({"topic": topic, "records": record(size), "config": config});
        let code = match cx.try_call("produce", args)? {
            Reply::Ok(answer) => answer["errors"][0][1].as_i64(),
            Reply::Error { message, .. } => return Err(Failure(message)),
        };
        cx.checks
            .equal("error of a batch above the limit", code, Some(10))?;
    }
    let got = cx.consume(&[(&topic, 0, From::Beginning)], 1, json!({}))?;
    cx.checks.equal(
        "value",
        got[0].value.clone(),
        Some(as_reported("v".repeat(VALUE_BYTES_MAX))),
    )?;
    let end = cx.offset_at(&topic, 0, json!("latest"))?;
    cx.checks.equal("end of the partition", end, Some(1))
}

pub(super) fn ordering(cx: &mut Context) -> Checked {
    let records = Generated {
        count: 20_000,
        prefix: "seq",
        size: 80,
        partitions: vec![0],
    };
    through(
        cx,
        &records,
        json!({"acks": "all", "linger_ms": 5, "batch_bytes": 16_000}),
    )
}
