//! How many may connect, and who has to go: on a whole broker, over TCP.

use crate::common::client::Client;
use crate::common::local::Local;
use ottla::metadata::ConfigKind;
use ottla::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Long enough for an answer to come, if one comes.
const A_WHILE: Duration = Duration::from_millis(200);

/// A connection through another listener than the first.
async fn connect_on(broker: &Local, listener: &str) -> Client<TcpStream> {
    let mut listening = broker.server().listening().iter();
    let found = listening.find(|(name, _)| name == listener);
    Client::to(found.unwrap().1).await
}

async fn is_served(client: &mut Client<TcpStream>) -> bool {
    let asked = client.call(&ApiVersionsRequest::default(), 0).await;
    asked.is_ok_and(|answer: ApiVersionsResponse| answer.error_code == 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_served_once_another_has_gone() {
    let broker = Local::start(&[("max.connections", "2")]).await;
    let (mut one, mut two) = (broker.connect().await, broker.connect().await);
    assert!(is_served(&mut one).await && is_served(&mut two).await);
    let mut three = broker.connect().await;
    let served = is_served(&mut three);
    tokio::pin!(served);
    assert!(timeout(A_WHILE, &mut served).await.is_err(), "it waits");
    drop(one);
    assert!(served.await);
    assert!(is_served(&mut two).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_what_its_own_limit_says() {
    let broker = Local::start(&[
        ("max.connections.per.ip", "0"),
        ("max.connections.per.ip.overrides", "127.0.0.1:1"),
    ])
    .await;
    let mut one = broker.connect().await;
    assert!(is_served(&mut one).await);
    let mut two = broker.connect().await;
    assert!(two.is_closed().await);
    assert!(is_served(&mut one).await);
}

const TWO_LISTENERS: &[(&str, &str)] = &[
    ("listeners", "CLIENTS://127.0.0.1:0,BROKERS://127.0.0.1:0"),
    (
        "listener.security.protocol.map",
        "CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT",
    ),
    ("inter.broker.listener.name", "BROKERS"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_has_its_own_limit_beside_the_brokers() {
    let own = ("listener.name.clients.max.connections", "1");
    let broker = Local::start(&[TWO_LISTENERS, &[own]].concat()).await;
    let mut one = broker.connect().await;
    assert!(is_served(&mut one).await);
    let mut two = broker.connect().await;
    assert!(timeout(A_WHILE, is_served(&mut two)).await.is_err());
    let mut other = connect_on(&broker, "BROKERS").await;
    assert!(is_served(&mut other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_broker_the_client_that_was_idle_for_longest_is_closed() {
    let broker = Local::start(&[TWO_LISTENERS, &[("max.connections", "2")]].concat()).await;
    let (mut one, mut two) = (broker.connect().await, broker.connect().await);
    assert!(is_served(&mut two).await && is_served(&mut one).await);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(is_served(&mut two).await);
    let mut peer = connect_on(&broker, "BROKERS").await;
    assert!(is_served(&mut peer).await);
    assert!(one.is_closed().await);
    assert!(is_served(&mut two).await);
    assert_eq!(broker.server().connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_limit_is_lowered_those_idle_for_longest_are_closed() {
    let broker = Local::start(&[]).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(broker.connect().await);
        assert!(is_served(idle.last_mut().unwrap()).await);
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut admin = broker.connect().await;
    let lowered = admin.set_config(ConfigKind::Broker, "", "max.connections", Some("1"));
    lowered.await.unwrap().unwrap();
    for client in &mut idle {
        assert!(client.is_closed().await);
    }
    assert!(is_served(&mut admin).await);
}
