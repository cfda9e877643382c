//! Clients that break the rules get what Kafka gives them, and nobody else notices.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::cast_sign_loss, reason = "lengths of our own broker's frames")]

use bytes::{BufMut, Bytes, BytesMut};
use ottla::Server;
use ottla::config::{BrokerConfig, Properties};
use ottla::net::{Acceptor, ConnectionLimits, Limits, Peer, Served, Service};
use ottla::protocol::messages::metadata_request::MetadataRequestTopic;
use ottla::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest};
use ottla::protocol::messages::{MetadataResponse, ProduceRequest, ProduceResponse};
use ottla::protocol::{ApiKey, ErrorCode, Message, Reader};
use ottla::record::{BatchBuilder, BatchOptions, NewRecord};
use ottla::runtime::{Reply, os};
use ottla::types::Timestamp;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

struct Broker {
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl Broker {
    fn start(settings: &[(&str, &str)]) -> Broker {
        let dir = tempfile::tempdir().unwrap();
        let mut properties = Properties::new();
        properties.set("listeners", "PLAINTEXT://127.0.0.1:0");
        properties.set("log.dirs", dir.path().to_str().unwrap());
        for (key, value) in settings {
            properties.set(*key, *value);
        }
        let (config, _) = BrokerConfig::from_properties(&properties).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .worker_threads(2)
            .build()
            .unwrap();
        let server = runtime
            .block_on(Server::start(config, os::runtime()))
            .unwrap();
        Broker {
            server: Some(server),
            runtime,
            _dir: dir,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.server.as_ref().unwrap().bootstrap())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next frame, or `None` if the broker has closed the connection.
    fn frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut frame).unwrap();
        Some(frame.into())
    }

    fn ask<Q: Message, A: Message>(&mut self, key: ApiKey, version: i16, request: &Q) -> A {
        self.send(&request_frame(key, version, 7, request));
        let mut reader = Reader::new(self.frame().expect("an answer"));
        assert_eq!(reader.i32().unwrap(), 7);
        if key.response_header_version(version) > 0 {
            reader.skip_tags().unwrap();
        }
        A::decode(&mut reader, version).unwrap()
    }

    fn is_served(&mut self) -> bool {
        let request = ApiVersionsRequest::default();
        let answer: ApiVersionsResponse = self.ask(ApiKey::ApiVersions, 0, &request);
        answer.error_code == 0 && !answer.api_keys.is_empty()
    }
}

fn request_frame<Q: Message>(key: ApiKey, version: i16, id: i32, request: &Q) -> BytesMut {
    let mut body = header(key.code(), version, id);
    if key.request_header_version(version) >= 2 {
        body.put_u8(0);
    }
    request.encode(&mut body, version).unwrap();
    framed(&body)
}

fn header(key: i16, version: i16, id: i32) -> BytesMut {
    let mut header = BytesMut::new();
    header.put_i16(key);
    header.put_i16(version);
    header.put_i32(id);
    header.put_i16(-1); // no client id
    header
}

fn framed(body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len()).unwrap());
    frame.put_slice(body);
    frame
}

#[test]
fn frames_that_cannot_be_requests_close_their_connection_and_no_other() {
    let broker = Broker::start(&[("socket.request.max.bytes", "100000")]);
    let mut bystander = broker.connect();
    assert!(bystander.is_served());
    let hostile: Vec<(&str, BytesMut)> = vec![
        ("negative length", (&[0xff, 0xff, 0xff, 0xff][..]).into()),
        (
            "longer than allowed",
            (&100_001i32.to_be_bytes()[..]).into(),
        ),
        ("longest length", (&i32::MAX.to_be_bytes()[..]).into()),
        ("empty frame", framed(&[])),
        ("cut header", framed(&[0, 3, 0])),
        ("unknown key", framed(&header(4711, 0, 1))),
        ("negative key", framed(&header(-3, 0, 1))),
        (
            "an API that is not served",
            framed(&header(ApiKey::EndTxn.code(), 0, 1)),
        ),
        (
            "unsupported version",
            framed(&header(ApiKey::Metadata.code(), 99, 1)),
        ),
        (
            "negative version",
            framed(&header(ApiKey::Metadata.code(), -1, 1)),
        ),
        (
            "body missing",
            framed(&header(ApiKey::Metadata.code(), 1, 1)),
        ),
        ("four billion topics", {
            let mut body = header(ApiKey::Metadata.code(), 12, 1);
            body.put_slice(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
            framed(&body)
        }),
        (
            "not Kafka at all",
            (&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..]).into(),
        ),
    ];
    for (what, bytes) in hostile {
        let mut client = broker.connect();
        client.send(&bytes);
        assert_eq!(client.frame(), None, "{what}");
        assert!(bystander.is_served(), "after {what}");
    }
}

#[test]
fn an_api_versions_request_of_a_later_release_is_answered_in_version_0() {
    let broker = Broker::start(&[]);
    let mut client = broker.connect();
    let mut body = header(ApiKey::ApiVersions.code(), 77, 5);
    body.put_slice(b"\0whatever a later release puts here");
    client.send(&framed(&body));
    let mut reader = Reader::new(client.frame().unwrap());
    assert_eq!(reader.i32().unwrap(), 5);
    let answer = ApiVersionsResponse::decode(&mut reader, 0).unwrap();
    assert_eq!(answer.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(answer.api_keys.len(), 1);
    assert_eq!(answer.api_keys[0].max_version, 4);
    assert!(client.is_served(), "the connection goes on");
}

#[test]
fn a_request_that_comes_byte_by_byte_is_answered() {
    let broker = Broker::start(&[]);
    let mut client = broker.connect();
    for byte in request_frame(ApiKey::ApiVersions, 0, 9, &ApiVersionsRequest::default()) {
        client.send(&[byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(client.frame().is_some());
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let broker = Broker::start(&[]);
    let mut client = broker.connect();
    let mut all = BytesMut::new();
    for id in 0..500 {
        all.extend_from_slice(&request_frame(
            ApiKey::ApiVersions,
            0,
            id,
            &ApiVersionsRequest::default(),
        ));
    }
    client.send(&all);
    for id in 0..500 {
        let mut reader = Reader::new(client.frame().unwrap());
        assert_eq!(reader.i32().unwrap(), id);
    }
}

#[test]
fn a_client_that_is_silent_for_too_long_is_closed() {
    let broker = Broker::start(&[("connections.max.idle.ms", "300")]);
    let mut half_open = broker.connect();
    half_open.send(&[0, 0]);
    assert_eq!(half_open.frame(), None);
}

#[test]
fn bad_batches_are_refused_with_kafkas_codes_and_nothing_of_them_is_written() {
    let broker = Broker::start(&[("message.max.bytes", "2000"), ("num.partitions", "1")]);
    let mut client = broker.connect();
    make_topic(&mut client, "t");
    let good = batch(b"hello");
    assert_eq!(produce(&mut client, good.clone()), (0, 0));

    let mut corrupt = BytesMut::from(&good[..]);
    let last = corrupt.len() - 1;
    corrupt[last] ^= 1;
    assert_eq!(
        produce(&mut client, corrupt.freeze()).0,
        ErrorCode::CorruptMessage.code()
    );

    let mut old = BytesMut::from(&good[..]);
    old[16] = 1;
    assert_eq!(
        produce(&mut client, old.freeze()).0,
        ErrorCode::InvalidRecord.code()
    );

    let large = batch(&vec![b'x'; 3000]);
    assert_eq!(
        produce(&mut client, large).0,
        ErrorCode::MessageTooLarge.code()
    );

    let cut = good.slice(..good.len() - 3);
    assert_ne!(produce(&mut client, cut).0, 0);
    assert_ne!(produce(&mut client, Bytes::new()).0, 0);
    let mut twice = BytesMut::from(&good[..]);
    twice.extend_from_slice(&good);
    assert_eq!(
        produce(&mut client, twice.freeze()).0,
        ErrorCode::InvalidRecord.code()
    );

    assert_eq!(
        produce(&mut client, good),
        (0, 1),
        "the log has only the good ones"
    );
}

#[test]
fn without_acknowledgement_an_error_closes_the_connection() {
    let broker = Broker::start(&[]);
    let mut client = broker.connect();
    let request = produce_request("missing", 0, batch(b"x"));
    client.send(&request_frame(ApiKey::Produce, 9, 1, &request));
    assert_eq!(client.frame(), None);
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

#[test]
fn a_handler_that_panics_closes_one_connection_and_the_answers_before_it_are_sent() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let runtime = os::runtime();
    let address = tokio.block_on(async {
        let listener = runtime.net.bind("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits {
            frame_bytes_max: 1000,
            request_memory_bytes: 100_000,
            idle_max: Duration::from_secs(60),
            connections: ConnectionLimits::default(),
        };
        Acceptor::new(runtime.clone(), Arc::new(Fragile), limits).listen("T".into(), listener);
        address
    });
    for poison in [&b"panic"[..], b"later"] {
        let mut bystander = Client::connect(address);
        let mut victim = Client::connect(address);
        let mut both = framed(b"before");
        both.extend_from_slice(&framed(poison));
        victim.send(&both);
        assert_eq!(victim.frame().as_deref(), Some(&b"before"[..]));
        assert_eq!(victim.frame(), None);
        bystander.send(&framed(b"still here"));
        assert_eq!(bystander.frame().as_deref(), Some(&b"still here"[..]));
    }
    runtime.tasks.stop();
}

fn make_topic(client: &mut Client, name: &str) {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(name.to_owned().into()),
            ..MetadataRequestTopic::default()
        }]),
        ..MetadataRequest::default()
    };
    for _ in 0..1000 {
        let answer: MetadataResponse = client.ask(ApiKey::Metadata, 9, &request);
        if answer.topics[0].error_code == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("topic {name} was not created on demand");
}

fn batch(value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(
        Timestamp(1_000),
        NewRecord {
            value: Some(value),
            ..NewRecord::default()
        },
    );
    builder.build().unwrap().to_bytes()
}

fn produce_request(topic: &str, acks: i16, records: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData {
        index: 0,
        records: Some(records),
    };
    let topic = TopicProduceData {
        name: topic.to_owned().into(),
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    ProduceRequest {
        acks,
        timeout_ms: 1000,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    }
}

/// Error code and base offset.
fn produce(client: &mut Client, records: Bytes) -> (i16, i64) {
    let request = produce_request("t", 1, records);
    let answer: ProduceResponse = client.ask(ApiKey::Produce, 9, &request);
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}
