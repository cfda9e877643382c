//! Connections that cost without asking, that ask without reading, and that send all there may be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Stress, api_versions, metadata};
use crate::client::Client;
use crate::process::{cpu_seconds, round};
use crate::wire::{Fail, HEAD_LEN};

/// Long enough for a broker to do all that it will do about what has been sent.
const SETTLE: Duration = Duration::from_secs(3);

/// Connections that have asked once and then stay.
pub(super) fn idle(stress: &Stress, connections: usize) -> Result<Value, Fail> {
    let before = stress.rss_mib();
    let begin = Instant::now();
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut client = Client::connect(stress.address)?;
        client.call(metadata())?;
        clients.push(client);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let cpu = cpu_seconds(stress.pid);
    thread::sleep(SETTLE);
    let cpu = cpu_seconds(stress.pid) - cpu;
    let served = clients.last_mut().map(|client| client.call(api_versions()));
    served.transpose()?;
    Ok(json!({
        "connections": connections,
        "connected_per_s": round(per(connections, seconds)),
        "kib_per_connection": round(kib_each(stress.rss_mib() - before, connections)),
        "core_percent": round(cpu / SETTLE.as_secs_f64() * 100.0),
    }))
}

/// Connections that have sent a few bytes of a request and then nothing.
pub(super) fn half_requests(stress: &Stress, connections: usize) -> Result<Value, Fail> {
    let before = stress.rss_mib();
    let mut request = api_versions();
    request[..4].copy_from_slice(&60_000_i32.to_be_bytes());
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut stream = stress.connect()?;
        send(&mut stream, &request)?;
        streams.push(stream);
    }
    thread::sleep(SETTLE);
    Ok(json!({
        "connections": connections,
        "kib_per_connection": round(kib_each(stress.rss_mib() - before, connections)),
    }))
}

/// Clients that ask for about ten megabytes each and read nothing.
pub(super) fn slow_readers(stress: &Stress, clients: usize) -> Result<Value, Fail> {
    const REQUESTS: usize = 1000;
    let before = stress.rss_mib();
    let asked = metadata().repeat(REQUESTS);
    let mut streams = Vec::with_capacity(clients);
    for _ in 0..clients {
        let mut stream = stress.connect()?;
        // The broker stops reading, so not all of it can be sent.
        stream
            .set_write_timeout(Some(Duration::from_millis(50)))
            .map_err(|error| error.to_string())?;
        let _ = stream.write_all(&asked);
        streams.push(stream);
    }
    thread::sleep(SETTLE);
    Ok(json!({
        "clients": clients,
        "requests_each": REQUESTS,
        "kib_per_client": round(kib_each(stress.rss_mib() - before, clients)),
    }))
}

/// One client that sends all its requests before it reads an answer.
pub(super) fn pipelined(stress: &Stress, requests: usize) -> Result<Value, Fail> {
    let begin = Instant::now();
    let mut stream = stress.connect()?;
    let mut sender = stream.try_clone().map_err(|error| error.to_string())?;
    let answered = thread::scope(|scope| {
        scope.spawn(move || -> Result<(), Fail> {
            for number in 0..requests {
                let mut request = metadata();
                request[8..HEAD_LEN].copy_from_slice(&correlation(number));
                send(&mut sender, &request)?;
            }
            Ok(())
        });
        (0..requests).try_for_each(|number| {
            if receive(&mut stream)?[..4] == correlation(number) {
                Ok(())
            } else {
                Err(format!("answer {number} is out of order"))
            }
        })
    });
    answered?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(json!({
        "requests": requests,
        "requests_per_s": round(per(requests, seconds)),
    }))
}

/// Requests of the largest size at once. Each is Metadata of no topic, with bytes behind it that a broker
/// passes over.
pub(super) fn bodies(stress: &Stress, count: usize, bytes: usize) -> Result<Value, Fail> {
    let begin = Instant::now();
    let length = i32::try_from(bytes).map_err(|_| "a body is at most 2 GiB long")?;
    let results: Vec<Result<(), Fail>> = thread::scope(|scope| {
        let send_one = || {
            let mut head = crate::wire::Writer::request(crate::wire::METADATA, 4);
            head.count(0);
            head.int8(0);
            let mut head = head.finish();
            head[..4].copy_from_slice(&length.to_be_bytes());
            let mut stream = stress.connect()?;
            send(&mut stream, &head)?;
            let padding = vec![0; 256 * 1024];
            let mut left = bytes - (head.len() - 4);
            while left > 0 {
                let piece = left.min(padding.len());
                send(&mut stream, &padding[..piece])?;
                left -= piece;
            }
            receive(&mut stream).map(drop)
        };
        let senders: Vec<_> = (0..count).map(|_| scope.spawn(send_one)).collect();
        let ended = senders.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|ended| ended.unwrap_or_else(|_| Err("a sender panicked".to_owned())))
            .collect()
    });
    results.into_iter().collect::<Result<(), Fail>>()?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(json!({
        "requests": count,
        "bytes_each": bytes,
        "seconds": round(seconds),
    }))
}

fn correlation(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

pub(super) fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Fail> {
    stream
        .write_all(bytes)
        .map_err(|error| format!("send: {error}"))
}

/// One frame, without its length.
pub(super) fn receive(stream: &mut TcpStream) -> Result<Vec<u8>, Fail> {
    let failed = |error| format!("answer: {error}");
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(failed)?;
    let length = usize::try_from(i32::from_be_bytes(length)).map_err(|e| e.to_string())?;
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).map_err(failed)?;
    Ok(frame)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn kib_each(mib: f64, count: usize) -> f64 {
    mib * 1024.0 / count as f64
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn per(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}
