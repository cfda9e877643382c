//! Clients that break the rules get what Kafka gives them, and nobody else notices.

use crate::common::client::{Client, Refused, batch, produce_request};
use crate::common::frames::{frame, header, with_length};
use crate::common::local::Local;
use bytes::{BufMut, Bytes, BytesMut};
use ottla::net::{Acceptor, ConnectionLimits, Limits, Peer, Served, Service};
use ottla::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla::protocol::{ApiKey, ErrorCode, Message, Reader};
use ottla::runtime::{Reply, os};
use ottla::types::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const TOPIC: &str = "orders";

async fn send(client: &mut Client<TcpStream>, bytes: &[u8]) {
    client.stream.write_all(bytes).await.unwrap();
}

async fn is_served(client: &mut Client<TcpStream>) -> bool {
    let answer: ApiVersionsResponse =
        (client.call(&ApiVersionsRequest::default(), 0).await).unwrap();
    answer.error_code == 0 && !answer.api_keys.is_empty()
}

/// A request header of version 1 and nothing behind it.
fn only_header(key: i16, version: i16) -> Bytes {
    with_length(&header(key, version, 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_cannot_be_requests_close_their_connection_and_no_other() {
    let broker = Local::start(&[("socket.request.max.bytes", "100000")]).await;
    let mut bystander = broker.connect().await;
    assert!(is_served(&mut bystander).await);
    let hostile: Vec<(&str, Bytes)> = vec![
        ("negative length", Bytes::from_static(&[0xff; 4])),
        (
            "longer than allowed",
            Bytes::copy_from_slice(&100_001i32.to_be_bytes()),
        ),
        (
            "longest length",
            Bytes::copy_from_slice(&i32::MAX.to_be_bytes()),
        ),
        ("empty frame", with_length(&[])),
        ("cut header", with_length(&[0, 3, 0])),
        ("unknown key", only_header(4711, 0)),
        ("negative key", only_header(-3, 0)),
        (
            "an API that is not served",
            only_header(ApiKey::EndTxn.code(), 0),
        ),
        (
            "unsupported version",
            only_header(ApiKey::Metadata.code(), 99),
        ),
        ("negative version", only_header(ApiKey::Metadata.code(), -1)),
        ("body missing", only_header(ApiKey::Metadata.code(), 1)),
        ("four billion topics", {
            let mut body = header(ApiKey::Metadata.code(), 12, 1);
            body.put_slice(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
            with_length(&body)
        }),
        (
            "not Kafka at all",
            Bytes::from_static(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
    ];
    for (what, bytes) in hostile {
        let mut client = broker.connect().await;
        send(&mut client, &bytes).await;
        assert!(client.is_closed().await, "{what}");
        assert!(is_served(&mut bystander).await, "after {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_versions_request_of_a_later_release_is_answered_in_version_0() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    let mut body = header(ApiKey::ApiVersions.code(), 77, 1);
    body.put_slice(b"\0whatever a later release puts here");
    send(&mut client, &with_length(&body)).await;
    let mut reader = Reader::new(client.frame().await.unwrap());
    assert_eq!(reader.i32().unwrap(), 1);
    let answer = ApiVersionsResponse::decode(&mut reader, 0).unwrap();
    assert_eq!(answer.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(answer.api_keys.len(), 1);
    assert_eq!(answer.api_keys[0].max_version, 4);
    assert!(is_served(&mut client).await, "the connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_byte_by_byte_is_answered() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    for byte in frame(&ApiVersionsRequest::default(), 0, 9) {
        send(&mut client, &[byte]).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(client.frame().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_their_order() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    let mut all = BytesMut::new();
    for id in 0..500 {
        all.extend_from_slice(&frame(&ApiVersionsRequest::default(), 0, id));
    }
    send(&mut client, &all).await;
    for id in 0..500 {
        let mut reader = Reader::new(client.frame().await.unwrap());
        assert_eq!(reader.i32().unwrap(), id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_silent_for_too_long_is_closed() {
    let broker = Local::start(&[("connections.max.idle.ms", "300")]).await;
    let mut half_open = broker.connect().await;
    send(&mut half_open, &[0, 0]).await;
    assert!(half_open.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_batches_are_refused_with_kafkas_codes_and_nothing_of_them_is_written() {
    let broker = Local::start(&[("message.max.bytes", "2000")]).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &[]).await;
    let good = batch(Timestamp(1_000), &["hello"]);
    let mut produce = async |batch: Bytes| client.produce(TOPIC, 0, 1, batch).await.unwrap();
    assert_eq!(produce(good.clone()).await, Ok(0));

    let mut corrupt = good.to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    let mut old = good.to_vec();
    old[16] = 1;
    let large = batch(Timestamp(1_000), &["x".repeat(3000)]);
    let twice = [good.clone(), good.clone()].concat();
    for (bad, code) in [
        (corrupt.into(), ErrorCode::CorruptMessage),
        (old.into(), ErrorCode::InvalidRecord),
        (large, ErrorCode::MessageTooLarge),
        (twice.into(), ErrorCode::InvalidRecord),
    ] {
        assert_eq!(produce(bad).await, Err(Refused(code)));
    }
    for cut in [good.slice(..good.len() - 3), Bytes::new()] {
        assert!(produce(cut).await.is_err());
    }
    assert_eq!(produce(good).await, Ok(1), "the log has only the good ones");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_acknowledgement_an_error_closes_the_connection() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    let request = produce_request("missing", 0, 0, batch(Timestamp(1_000), &["x"]));
    client.send(&request, 9).await.unwrap();
    assert!(client.is_closed().await);
}

/// Takes "panic" badly, and echoes everything else.
struct Fragile;

impl Service for Fragile {
    fn call(&self, _peer: &Peer, frame: Bytes, reply: &mut Reply) -> Served {
        assert_ne!(&frame[..], b"panic", "as it was told to");
        if &frame[..] == b"later" {
            return Served::Later(Box::pin(async { panic!("later, as it was told to") }));
        }
        let start = reply.begin_frame();
        reply.bytes.extend_from_slice(&frame);
        reply.end_frame(start).unwrap();
        Served::Done
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_closes_one_connection_and_the_answers_before_it_are_sent() {
    let runtime = os::runtime();
    let listener = runtime.net.bind("127.0.0.1", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        frame_bytes_max: 1000,
        request_memory_bytes: 100_000,
        idle_max: Duration::from_secs(60),
        connections: ConnectionLimits::default(),
    };
    Acceptor::new(runtime.clone(), Arc::new(Fragile), limits).listen("T".into(), listener);
    for poison in [&b"panic"[..], b"later"] {
        let mut bystander = Client::to(address).await;
        let mut victim = Client::to(address).await;
        let both = [with_length(b"before"), with_length(poison)].concat();
        send(&mut victim, &both).await;
        assert_eq!(victim.frame().await.unwrap(), &b"before"[..]);
        assert!(victim.is_closed().await);
        send(&mut bystander, &with_length(b"still here")).await;
        assert_eq!(bystander.frame().await.unwrap(), &b"still here"[..]);
    }
    runtime.tasks.stop();
}
