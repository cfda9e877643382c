//! Fetches in the name of a broker that is a replica of nothing.

use crate::common::client::fetch_request;
use crate::common::local::Local;
use ottla::protocol::ErrorCode;
use ottla::protocol::messages::FetchResponse;

const TOPIC: &str = "orders";

/// Every partition was refused with NOT_LEADER_OR_FOLLOWER before it was looked for, so that a topic that had been
/// deleted seemed to have moved, for ever.
#[tokio::test]
async fn a_replica_hears_that_a_topic_is_unknown_before_it_hears_that_it_is_no_replica() {
    let broker = Local::start(&[]).await;
    let mut client = broker.connect().await;
    client.make_topic(TOPIC, 1, &[]).await;
    for (topic, expected) in [
        (TOPIC, ErrorCode::NotLeaderOrFollower),
        ("nowhere", ErrorCode::UnknownTopicOrPartition),
    ] {
        let mut request = fetch_request(topic, 0, 0);
        request.replica_id = 9;
        let response: FetchResponse = client.call(&request, 12).await.unwrap();
        let answer = &response.responses[0].partitions[0];
        assert_eq!(ErrorCode::from_code(answer.error_code), Some(expected));
    }
}
