//! The requests that look at groups and change them from outside.

use futures_executor::block_on;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::Consumer;
use rdkafka::groups::{GroupInfo, GroupMemberInfo};
use serde_json::{Map, Value, json};

use crate::{Answer, Driver, WAIT};

fn names(request: &Value) -> Vec<&str> {
    let groups = request["groups"].as_array().into_iter().flatten();
    groups.filter_map(Value::as_str).collect()
}

impl Driver {
    pub(crate) fn describe_groups(&self, request: &Value) -> Answer {
        let mut groups = Map::new();
        for name in names(request) {
            let found = self.reader.fetch_group_list(Some(name), WAIT)?;
            for group in found.groups() {
                groups.insert(group.name().to_owned(), described(group));
            }
        }
        Ok(json!({"groups": groups}))
    }

    pub(crate) fn delete_groups(&self, request: &Value) -> Answer {
        let deleted = self
            .admin
            .delete_groups(&names(request), &AdminOptions::new());
        let mut errors = Map::new();
        for result in block_on(deleted)? {
            let (name, code) = match result {
                Ok(name) => (name, 0),
                Err((name, code)) => (name, code as i32),
            };
            errors.insert(name, json!(code));
        }
        Ok(json!({"errors": errors}))
    }
}

fn described(group: &GroupInfo) -> Value {
    let members: Vec<Value> = group.members().iter().map(member).collect();
    json!({"state": group.state(), "protocol": group.protocol(), "members": members})
}

fn member(member: &GroupMemberInfo) -> Value {
    let assignment = member.assignment().and_then(assignment).unwrap_or_default();
    json!({
        "id": member.id(),
        "client_id": member.client_id(),
        "host": member.client_host(),
        "assignment": assignment,
    })
}

/// Reads a consumer's assignment: a version, then topics, each with its partitions.
fn assignment(mut bytes: &[u8]) -> Option<Vec<Value>> {
    fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (taken, rest) = bytes.split_first_chunk::<N>()?;
        *bytes = rest;
        Some(*taken)
    }
    let mut partitions = Vec::new();
    take::<2>(&mut bytes)?;
    for _ in 0..i32::from_be_bytes(take(&mut bytes)?) {
        let len = usize::from(u16::from_be_bytes(take(&mut bytes)?));
        let (topic, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        let topic = std::str::from_utf8(topic).ok()?;
        for _ in 0..i32::from_be_bytes(take(&mut bytes)?) {
            partitions.push(json!([topic, i32::from_be_bytes(take(&mut bytes)?)]));
        }
    }
    Some(partitions)
}
