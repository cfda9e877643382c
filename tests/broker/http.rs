//! The pages for monitoring: what they say of a broker that serves, and what they answer to nonsense.

use crate::common::client::batch;
use crate::common::local::{End, Local, ask, get};
use ottla::types::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_count_what_clients_did() {
    let broker = Local::start(&[]).await;
    let address = broker.serve_http().await;
    let mut client = broker.connect().await;
    client.make_topic("t", 2, &[]).await;
    let sent = batch(Timestamp(1_000), &["a", "b", "c"]);
    let bytes = sent.len();
    client.produce("t", 1, 1, sent).await.unwrap().unwrap();
    let (read, _) = client.fetch("t", 1, 0).await.unwrap().unwrap();
    assert_eq!(read.len(), 3);

    let page = get(address, "/metrics").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("Content-Type: text/plain; version=0.0.4"));
    for line in [
        "kafka_server_brokertopicmetrics_messagesin_total 3".to_owned(),
        format!("kafka_server_brokertopicmetrics_bytesin_total {bytes}"),
        format!("kafka_server_brokertopicmetrics_bytesout_total {bytes}"),
        "kafka_network_requestmetrics_requests_total{request=\"Produce\"} 1".to_owned(),
        "kafka_network_requestmetrics_requests_total{request=\"JoinGroup\"} 0".to_owned(),
        "kafka_server_socketservermetrics_connection_count 1".to_owned(),
        "kafka_server_replicamanager_partitioncount 2".to_owned(),
        "kafka_controller_kafkacontroller_globaltopiccount 1".to_owned(),
        "kafka_log_log_logendoffset{topic=\"t\",partition=\"1\"} 3".to_owned(),
        format!("kafka_log_log_size{{topic=\"t\",partition=\"1\"}} {bytes}"),
    ] {
        assert!(page.lines().any(|one| one == line), "no {line} in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_serves_is_healthy_and_nonsense_gets_an_error() {
    let broker = Local::start(&[]).await;
    let address = broker.serve_http().await;
    let healthy = get(address, "/health").await;
    assert!(healthy.starts_with("HTTP/1.1 200 OK\r\n") && healthy.ends_with("\r\n\r\nok\n"));
    let head = ask(address, "HEAD /health HTTP/1.0\r\n\r\n").await;
    assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"));
    // As much as is read: a socket that is closed with bytes unread would be reset.
    let long = "x".repeat(8 * 1024);
    for (request, status) in [
        ("GET /other HTTP/1.1\r\n\r\n", 404),
        ("POST /health HTTP/1.1\r\n\r\n", 405),
        ("nonsense\r\n\r\n", 400),
        (long.as_str(), 431),
    ] {
        let answer = ask(address, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_asks_keeps_nobody_else_waiting() {
    let mut broker = Local::start(&[]).await;
    let address = broker.serve_http().await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(get(address, "/health").await.contains("ok"));
    // And a stop does not wait for them.
    broker.end(End::Stop).await;
    let mut rest = Vec::new();
    assert_eq!(silent[0].read_to_end(&mut rest).await.unwrap_or(0), 0);
}
