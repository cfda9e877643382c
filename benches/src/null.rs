//! A broker that acknowledges what it does not keep: the rate a client reaches against it is the client's
//! own ceiling. With a directory it checks the CRC and appends, and does nothing else: the floor of what a
//! broker must spend on a produced byte.

use std::collections::HashMap;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::wire::{self, Fail, Reader, Writer};

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) listen: SocketAddr,
    /// Check the CRC of every batch and append it to a file per partition here
    #[arg(long)]
    pub(crate) store: Option<PathBuf>,
}

struct Stored {
    file: File,
    next: i64,
}

type Partition = Arc<Mutex<Stored>>;

#[derive(Default)]
struct Store {
    /// How many partitions each topic was created with.
    topics: Mutex<HashMap<String, usize>>,
    partitions: Mutex<HashMap<(String, i32), Partition>>,
}

pub(crate) fn run(options: &Options) -> Result<(), Fail> {
    let listener = TcpListener::bind(options.listen)
        .map_err(|error| format!("{}: {error}", options.listen))?;
    if let Some(directory) = &options.store {
        std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    }
    let store = Arc::new(Store::default());
    for stream in listener.incoming().flatten() {
        let options = options.clone();
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            if let Err(error) = serve(stream, &options, &store) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream, options: &Options, store: &Store) -> Result<(), Fail> {
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let mut input = vec![0; 256 * 1024];
    let mut filled = 0;
    let mut output = Vec::new();
    loop {
        let len = stream
            .read(&mut input[filled..])
            .map_err(|error| error.to_string())?;
        if len == 0 {
            return Ok(());
        }
        filled += len;
        let mut used = 0;
        let mut missing = 0;
        while let Some((size, rest)) = input[used..filled].split_first_chunk::<4>() {
            let size =
                usize::try_from(i32::from_be_bytes(*size)).map_err(|error| error.to_string())?;
            let Some(frame) = rest.get(..size) else {
                missing = 4 + size;
                break;
            };
            output.extend(answer(frame, options, store)?);
            used += 4 + size;
        }
        input.copy_within(used..filled, 0);
        filled -= used;
        if missing > input.len() {
            input.resize(missing, 0);
        }
        stream
            .write_all(&output)
            .map_err(|error| error.to_string())?;
        output.clear();
    }
}

fn answer(frame: &[u8], options: &Options, store: &Store) -> Result<Vec<u8>, Fail> {
    let mut body = Reader::new(frame);
    let api_key = body.int16()?;
    let version = body.int16()?;
    let mut out = Writer::response(body.int32()?);
    body.string()?;
    match api_key {
        wire::API_VERSIONS => {
            // Only versions before the flexible ones, and a version-0 answer to anyone who asks for more.
            out.int16(if version == 0 { 0 } else { 35 });
            let keys = [
                (wire::PRODUCE, 3, 7),
                (wire::FETCH, 4, 11),
                (wire::METADATA, 0, 4),
                (wire::API_VERSIONS, 0, 0),
            ];
            out.count(keys.len());
            for (key, min, max) in keys {
                out.int16(key);
                out.int16(min);
                out.int16(max);
            }
        }
        wire::METADATA => metadata(&mut body, &mut out, version, options, store)?,
        wire::CREATE_TOPICS => {
            body.count()?;
            let topic = body.string()?;
            store.create(topic, body.count()?);
            out.int32(0);
            out.count(1);
            out.string(topic);
            out.int16(0);
            out.null_string();
        }
        wire::LIST_OFFSETS => {
            body.int32()?;
            body.count()?;
            out.count(1);
            out.string(body.string()?);
            let partitions = body.count()?;
            out.count(partitions);
            for _ in 0..partitions {
                out.int32(body.int32()?);
                body.int64()?;
                out.int16(0);
                out.int64(-1);
                out.int64(0);
            }
        }
        wire::PRODUCE => {
            body.string()?;
            let acks = body.int16()?;
            body.int32()?;
            let topics = body.count()?;
            out.count(topics);
            for _ in 0..topics {
                let topic = body.string()?;
                out.string(topic);
                let partitions = body.count()?;
                out.count(partitions);
                for _ in 0..partitions {
                    let partition = body.int32()?;
                    let batch = body.bytes()?;
                    let base = match &options.store {
                        Some(directory) => store.append(directory, topic, partition, batch)?,
                        None => 0,
                    };
                    out.int32(partition);
                    out.int16(0);
                    out.int64(base);
                    out.int64(-1);
                    if version >= 5 {
                        out.int64(0);
                    }
                }
            }
            out.int32(0);
            if acks == 0 {
                return Ok(Vec::new());
            }
        }
        other => return Err(format!("the null broker does not know API {other}")),
    }
    Ok(out.finish())
}

fn metadata(
    body: &mut Reader<'_>,
    out: &mut Writer,
    version: i16,
    options: &Options,
    store: &Store,
) -> Result<(), Fail> {
    let mut topics = Vec::new();
    for _ in 0..body.count()? {
        topics.push(body.string()?);
    }
    if version >= 3 {
        out.int32(0);
    }
    out.count(1);
    out.int32(1);
    out.string(&options.listen.ip().to_string());
    out.int32(i32::from(options.listen.port()));
    if version >= 1 {
        out.null_string();
    }
    if version >= 2 {
        out.string("null");
    }
    if version >= 1 {
        out.int32(1);
    }
    out.count(topics.len());
    for topic in topics {
        out.int16(0);
        out.string(topic);
        if version >= 1 {
            out.int8(0);
        }
        let partitions = store.partitions_of(topic);
        out.count(partitions);
        for partition in 0..partitions {
            out.int16(0);
            out.count(partition);
            out.int32(1);
            out.count(1);
            out.int32(1);
            out.count(1);
            out.int32(1);
        }
    }
    Ok(())
}

impl Store {
    fn create(&self, topic: &str, partitions: usize) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.insert(topic.to_owned(), partitions);
    }

    /// One, for a topic that nobody created.
    fn partitions_of(&self, topic: &str) -> usize {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).copied().unwrap_or(1)
    }

    fn append(
        &self,
        directory: &std::path::Path,
        topic: &str,
        partition: i32,
        batch: &[u8],
    ) -> Result<i64, Fail> {
        let found = {
            let mut partitions = self
                .partitions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match partitions.get(&(topic.to_owned(), partition)) {
                Some(found) => Arc::clone(found),
                None => {
                    let file = File::create(directory.join(format!("{topic}-{partition}.log")));
                    let file = file.map_err(|error| error.to_string())?;
                    let made = Arc::new(Mutex::new(Stored { file, next: 0 }));
                    partitions.insert((topic.to_owned(), partition), Arc::clone(&made));
                    made
                }
            }
        };
        let mut header = Reader::new(batch);
        header.take(17)?;
        let crc = header.int32()?.cast_unsigned();
        header.int16()?;
        let last_delta = header.int32()?;
        if crc != crc32c::crc32c(&batch[21..]) {
            return Err("a batch came with a wrong CRC".to_owned());
        }
        let mut stored = found.lock().unwrap_or_else(PoisonError::into_inner);
        let base = stored.next;
        let mut head: [u8; 16] = batch[..16].try_into().expect("the header was read");
        head[..8].copy_from_slice(&base.to_be_bytes());
        head[12..].copy_from_slice(&0_i32.to_be_bytes());
        let written = stored
            .file
            .write_vectored(&[IoSlice::new(&head), IoSlice::new(&batch[16..])]);
        let written = written.map_err(|error| error.to_string())?;
        if written < 16 {
            return Err("the disk took less than a batch header".to_owned());
        }
        stored
            .file
            .write_all(&batch[written..])
            .map_err(|error| error.to_string())?;
        stored.next += i64::from(last_delta) + 1;
        Ok(base)
    }
}
