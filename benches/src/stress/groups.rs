//! A large group that rebalances, and many small groups.

use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};

use super::connections::{per, receive, send};
use super::{Stress, TOPIC};
use crate::client::Client;
use crate::process::round;
use crate::wire::{self, Fail, Reader, Writer};

/// Why a broker may ask to be asked again: it is about to have a coordinator.
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const REBALANCE_IN_PROGRESS: i16 = 27;

/// A member of a classic group, on a connection of its own.
struct Member {
    stream: TcpStream,
    group: String,
    id: String,
    generation: i32,
    leads: bool,
}

impl Member {
    fn new(stress: &Stress, group: &str) -> Result<Member, Fail> {
        Ok(Member {
            stream: stress.connect()?,
            group: group.to_owned(),
            id: String::new(),
            generation: -1,
            leads: false,
        })
    }

    /// JoinGroup v2: members need no id first.
    fn ask_to_join(&mut self) -> Result<(), Fail> {
        let mut request = Writer::request(wire::JOIN_GROUP, 2);
        request.string(&self.group);
        request.int32(30_000); // session
        request.int32(30_000); // rebalance
        request.string(&self.id);
        request.string("consumer");
        request.count(1);
        request.string("range");
        request.bytes(&subscription());
        send(&mut self.stream, &request.finish())
    }

    /// The answer: the members it is told of.
    fn joined(&mut self) -> Result<Vec<String>, Fail> {
        let frame = receive(&mut self.stream)?;
        let mut body = Reader::new(&frame[4..]);
        body.int32()?; // throttle time
        expect_none("JoinGroup", body.int16()?)?;
        self.generation = body.int32()?;
        body.string()?; // protocol
        let leader = body.string()?;
        self.id = body.string()?.to_owned();
        self.leads = leader == self.id;
        let mut members = Vec::new();
        for _ in 0..body.count()? {
            members.push(body.string()?.to_owned());
            body.bytes()?;
        }
        Ok(members)
    }

    /// Heartbeats until the group rebalances: a follower who joins before that changes nothing.
    fn await_rebalance(&mut self) -> Result<(), Fail> {
        loop {
            let mut request = Writer::request(wire::HEARTBEAT, 1);
            request.string(&self.group);
            request.int32(self.generation);
            request.string(&self.id);
            send(&mut self.stream, &request.finish())?;
            let frame = receive(&mut self.stream)?;
            let mut body = Reader::new(&frame[8..]); // correlation id and throttle time
            match body.int16()? {
                REBALANCE_IN_PROGRESS => return Ok(()),
                error => expect_none("Heartbeat", error)?,
            }
        }
    }

    /// SyncGroup v1; the leader gives every member a hundred bytes.
    fn ask_to_sync(&mut self, assign_to: &[String]) -> Result<(), Fail> {
        let mut request = Writer::request(wire::SYNC_GROUP, 1);
        request.string(&self.group);
        request.int32(self.generation);
        request.string(&self.id);
        request.count(assign_to.len());
        for member in assign_to {
            request.string(member);
            request.bytes(&[0; 100]);
        }
        send(&mut self.stream, &request.finish())
    }

    fn synced(&mut self) -> Result<(), Fail> {
        let frame = receive(&mut self.stream)?;
        let mut body = Reader::new(&frame[4..]);
        body.int32()?; // throttle time
        expect_none("SyncGroup", body.int16()?)?;
        match body.bytes()?.len() {
            100 => Ok(()),
            len => Err(format!("an assignment of {len} bytes")),
        }
    }
}

/// A subscription to the topic, as consumers write it.
fn subscription() -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0];
    bytes.push(u8::try_from(TOPIC.len()).expect("a short name"));
    bytes.extend_from_slice(TOPIC.as_bytes());
    bytes.extend_from_slice(&[0xff; 4]);
    bytes
}

fn expect_none(api: &str, error: i16) -> Result<(), Fail> {
    match error {
        0 => Ok(()),
        error => Err(format!("{api} answered error {error}")),
    }
}

/// Joins them all and gives them their assignments; `groups` of them lead.
fn rebalance(members: &mut [Member], groups: usize) -> Result<(), Fail> {
    let is_first = members.iter().all(|member| !member.leads);
    let (mut first, mut others): (Vec<_>, Vec<_>) =
        members.iter_mut().partition(|member| member.leads);
    first
        .iter_mut()
        .try_for_each(|leader| leader.ask_to_join())?;
    if let Some(follower) = others.first_mut().filter(|_| !is_first) {
        follower.await_rebalance()?;
    }
    others
        .iter_mut()
        .try_for_each(|member| member.ask_to_join())?;
    for member in members.iter_mut() {
        let told = member.joined()?;
        if !member.leads && !told.is_empty() {
            return Err("a follower is told the members".to_owned());
        }
        member.ask_to_sync(&told)?;
    }
    let leaders = members.iter().filter(|member| member.leads).count();
    if leaders != groups {
        return Err(format!("{leaders} members lead, in {groups} groups"));
    }
    members.iter_mut().try_for_each(Member::synced)
}

/// A group forms, and rebalances once more with everybody there.
pub(super) fn large(stress: &Stress, count: usize) -> Result<Value, Fail> {
    await_coordinator(stress)?;
    let group = "large";
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        members.push(Member::new(stress, group)?);
    }
    // The first time includes the wait for more members that a new group has.
    rebalance(&mut members, 1)?;
    let begin = Instant::now();
    rebalance(&mut members, 1)?;
    let generations: Vec<i32> = members.iter().map(|member| member.generation).collect();
    if generations.iter().any(|of_one| *of_one != generations[0]) {
        return Err("the members are of different generations".to_owned());
    }
    Ok(json!({
        "members": count,
        "rebalance_ms": round(begin.elapsed().as_secs_f64() * 1e3),
    }))
}

/// As many groups of one member each, which rebalance at the same time.
pub(super) fn many(stress: &Stress, count: usize) -> Result<Value, Fail> {
    await_coordinator(stress)?;
    let mut members = Vec::with_capacity(count);
    for number in 0..count {
        members.push(Member::new(stress, &format!("group-{number}"))?);
    }
    rebalance(&mut members, count)?;
    let begin = Instant::now();
    rebalance(&mut members, count)?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(json!({
        "groups": count,
        "rebalances_per_s": round(per(count, seconds)),
    }))
}

/// Waits until the groups' topic exists and is led.
fn await_coordinator(stress: &Stress) -> Result<(), Fail> {
    let mut client = Client::connect(stress.address)?;
    loop {
        let mut request = Writer::request(wire::FIND_COORDINATOR, 0);
        request.string("large");
        let mut body = Reader::new(client.call(request.finish())?);
        match body.int16()? {
            COORDINATOR_NOT_AVAILABLE | COORDINATOR_LOAD_IN_PROGRESS => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            error => return expect_none("FindCoordinator", error),
        }
    }
}
