//! A blocking connection: one request, one answer. For setting up, for fetching, for waiting until a broker serves.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::wire::{self, Fail, HEAD_LEN, Reader, Writer};

const TOPIC_ALREADY_EXISTS: i16 = 36;

/// A configuration of a topic, written KEY=VALUE.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for Setting {
    type Err = Fail;

    fn from_str(text: &str) -> Result<Setting, Fail> {
        let (key, value) = text.split_once('=').ok_or("wants KEY=VALUE")?;
        Ok(Setting {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

pub(crate) struct Client {
    stream: TcpStream,
    correlation: i32,
    frame: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Client, Fail> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .map_err(|error| error.to_string())?;
        Ok(Client {
            stream,
            correlation: 0,
            frame: Vec::new(),
        })
    }

    /// Sends `frame` and reads the answer's body (after the correlation id), valid until the next call.
    pub(crate) fn call(&mut self, mut frame: Vec<u8>) -> Result<&[u8], Fail> {
        self.correlation += 1;
        frame[8..HEAD_LEN].copy_from_slice(&self.correlation.to_be_bytes());
        self.stream
            .write_all(&frame)
            .map_err(|error| format!("send: {error}"))?;
        let mut len = [0; 4];
        self.stream
            .read_exact(&mut len)
            .map_err(|error| format!("answer: {error}"))?;
        let len = usize::try_from(i32::from_be_bytes(len)).map_err(|error| error.to_string())?;
        if self.frame.len() < len {
            self.frame.resize(len, 0);
        }
        let frame = &mut self.frame[..len];
        self.stream
            .read_exact(frame)
            .map_err(|error| format!("answer: {error}"))?;
        let mut body = Reader::new(frame);
        let correlation = body.int32()?;
        if correlation != self.correlation {
            return Err(format!(
                "answer to {correlation}, not to {}",
                self.correlation
            ));
        }
        body.take(len - 4)
    }

    /// Creates the topic if it is missing and waits until every partition is served: Apache Kafka names a
    /// leader some time before that broker knows that it leads.
    pub(crate) fn ensure_topic(
        &mut self,
        topic: &str,
        partitions: usize,
        configs: &[Setting],
    ) -> Result<(), Fail> {
        let mut request = Writer::request(wire::CREATE_TOPICS, 4);
        request.count(1);
        request.string(topic);
        request.count(partitions);
        request.int16(1);
        request.count(0);
        request.count(configs.len());
        for Setting { key, value } in configs {
            request.string(key);
            request.string(value);
        }
        request.int32(30_000);
        request.int8(0);
        let mut body = Reader::new(self.call(request.finish())?);
        body.int32()?;
        body.count()?;
        body.string()?;
        let error = body.int16()?;
        if error != 0 && error != TOPIC_ALREADY_EXISTS {
            return Err(format!("CreateTopics answered error {error}"));
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let led = self.leaders(topic, false)? >= partitions;
            if led && self.offsets(topic, partitions, -1).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{topic} is not served after a minute"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many partitions of the topic have a leader; `create` asks for automatic creation.
    pub(crate) fn leaders(&mut self, topic: &str, create: bool) -> Result<usize, Fail> {
        let mut request = Writer::request(wire::METADATA, 4);
        request.count(1);
        request.string(topic);
        request.int8(i8::from(create));
        let mut body = Reader::new(self.call(request.finish())?);
        body.int32()?;
        for _ in 0..body.count()? {
            body.int32()?;
            body.string()?;
            body.int32()?;
            body.string()?;
        }
        body.string()?;
        body.int32()?;
        let mut leaders = 0;
        for _ in 0..body.count()? {
            body.int16()?;
            body.string()?;
            body.int8()?;
            for _ in 0..body.count()? {
                let error = body.int16()?;
                body.int32()?;
                let leader = body.int32()?;
                for _ in 0..2 {
                    let len = body.count()?;
                    body.take(4 * len)?;
                }
                leaders += usize::from(error == 0 && leader >= 0);
            }
        }
        Ok(leaders)
    }

    /// The first (-2) or next (-1) offset of every partition.
    pub(crate) fn offsets(
        &mut self,
        topic: &str,
        partitions: usize,
        which: i64,
    ) -> Result<BTreeMap<i32, i64>, Fail> {
        let mut request = Writer::request(wire::LIST_OFFSETS, 1);
        request.int32(-1);
        request.count(1);
        request.string(topic);
        request.count(partitions);
        for partition in 0..partitions {
            request.count(partition);
            request.int64(which);
        }
        let mut body = Reader::new(self.call(request.finish())?);
        let mut found = BTreeMap::new();
        for _ in 0..body.count()? {
            body.string()?;
            for _ in 0..body.count()? {
                let partition = body.int32()?;
                let error = body.int16()?;
                body.int64()?;
                let offset = body.int64()?;
                if error != 0 {
                    return Err(format!(
                        "ListOffsets of partition {partition} answered error {error}"
                    ));
                }
                found.insert(partition, offset);
            }
        }
        Ok(found)
    }

    /// Produces one batch with acks=all; the base offset, or the error code.
    pub(crate) fn produce_one(
        &mut self,
        topic: &str,
        partition: i32,
        batch: &[u8],
    ) -> Result<Result<i64, i16>, Fail> {
        let body = self.call(wire::produce(topic, &[partition], -1, batch))?;
        let mut answer = Err(0);
        wire::produced(body, |one| {
            answer = if one.error == 0 {
                Ok(one.base_offset)
            } else {
                Err(one.error)
            };
            Ok(())
        })?;
        Ok(answer)
    }
}

/// All partition numbers of a topic.
pub(crate) fn partition_ids(partitions: usize) -> Vec<i32> {
    (0..partitions)
        .map(|partition| i32::try_from(partition).expect("few partitions"))
        .collect()
}
