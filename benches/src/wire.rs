//! The few requests the generator sends, written by hand and apart from the broker's codec: a fault in
//! that codec must not hide itself by being on both ends of a benchmark.
//!
//! Only versions before the flexible ones are used; Kafka 4.3.1 still serves them.

/// A failed run: the figure it would have given is void.
pub(crate) type Fail = String;

pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;
pub(crate) const LIST_OFFSETS: i16 = 2;
pub(crate) const METADATA: i16 = 3;
pub(crate) const FIND_COORDINATOR: i16 = 10;
pub(crate) const JOIN_GROUP: i16 = 11;
pub(crate) const HEARTBEAT: i16 = 12;
pub(crate) const SYNC_GROUP: i16 = 14;
pub(crate) const API_VERSIONS: i16 = 18;
pub(crate) const CREATE_TOPICS: i16 = 19;

/// Bytes before the part of a frame that is the same for every sending: size, key, version, correlation id.
pub(crate) const HEAD_LEN: usize = 12;

/// A request frame under construction.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn request(api_key: i16, version: i16) -> Writer {
        let mut out = Writer(Vec::with_capacity(256));
        out.int32(0); // the size, known in `finish`
        out.int16(api_key);
        out.int16(version);
        out.int32(0); // the correlation id, set when sent
        out.string("ottla-bench");
        out
    }

    pub(crate) fn response(correlation: i32) -> Writer {
        let mut out = Writer(Vec::with_capacity(256));
        out.int32(0);
        out.int32(correlation);
        out
    }

    pub(crate) fn int8(&mut self, value: i8) {
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn int16(&mut self, value: i16) {
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn int32(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn int64(&mut self, value: i64) {
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.int32(i32::try_from(value).expect("counts are small"));
    }

    pub(crate) fn string(&mut self, value: &str) {
        self.int16(i16::try_from(value.len()).expect("names are short"));
        self.0.extend(value.as_bytes());
    }

    pub(crate) fn null_string(&mut self) {
        self.int16(-1);
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.0.extend(value);
    }

    /// The whole frame, its size filled in.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let len = i32::try_from(self.0.len() - 4).expect("frames are below 2 GiB");
        self.0[..4].copy_from_slice(&len.to_be_bytes());
        self.0
    }
}

/// Reads an answer; every overrun is a failure of the run.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Fail> {
        let (head, tail) = self.0.split_at_checked(len).ok_or("the frame ends early")?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fail> {
        self.take(N)?
            .try_into()
            .map_err(|_| "the frame ends early".to_owned())
    }

    pub(crate) fn int8(&mut self) -> Result<i8, Fail> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub(crate) fn int16(&mut self) -> Result<i16, Fail> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn int32(&mut self) -> Result<i32, Fail> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn int64(&mut self) -> Result<i64, Fail> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// An element count or length; null counts as zero.
    pub(crate) fn count(&mut self) -> Result<usize, Fail> {
        Ok(usize::try_from(self.int32()?).unwrap_or(0))
    }

    /// A string; null reads as empty.
    pub(crate) fn string(&mut self) -> Result<&'a str, Fail> {
        let len = usize::try_from(self.int16()?).unwrap_or(0);
        std::str::from_utf8(self.take(len)?).map_err(|error| error.to_string())
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Fail> {
        let len = self.count()?;
        self.take(len)
    }
}

/// Produce v7 of one batch to each of `partitions`.
pub(crate) fn produce(topic: &str, partitions: &[i32], acks: i16, batch: &[u8]) -> Vec<u8> {
    let mut out = Writer::request(PRODUCE, 7);
    out.null_string(); // transactional id
    out.int16(acks);
    out.int32(30_000);
    out.count(1);
    out.string(topic);
    out.count(partitions.len());
    for partition in partitions {
        out.int32(*partition);
        out.bytes(batch);
    }
    out.finish()
}

/// What one partition answered to a Produce.
pub(crate) struct Produced {
    pub(crate) partition: i32,
    pub(crate) error: i16,
    pub(crate) base_offset: i64,
}

/// Calls `each` for every partition of a Produce v7 answer (after the correlation id).
pub(crate) fn produced(
    body: &[u8],
    mut each: impl FnMut(Produced) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let mut body = Reader::new(body);
    for _ in 0..body.count()? {
        body.string()?;
        for _ in 0..body.count()? {
            let partition = body.int32()?;
            let error = body.int16()?;
            let base_offset = body.int64()?;
            body.int64()?; // log append time
            body.int64()?; // log start offset
            each(Produced {
                partition,
                error,
                base_offset,
            })?;
        }
    }
    Ok(())
}

/// How much a Fetch asks for.
#[derive(Clone, Copy)]
pub(crate) struct FetchLimits {
    pub(crate) wait_ms_max: i32,
    pub(crate) bytes_min: i32,
    pub(crate) partition_bytes_max: i32,
}

impl Default for FetchLimits {
    /// Kafka's consumers ask so.
    fn default() -> FetchLimits {
        FetchLimits {
            wait_ms_max: 500,
            bytes_min: 1,
            partition_bytes_max: 1_048_576,
        }
    }
}

/// Fetch v11 outside a session. `positions`: (partition, next offset).
pub(crate) fn fetch(topic: &str, positions: &[(i32, i64)], limits: FetchLimits) -> Vec<u8> {
    let mut out = Writer::request(FETCH, 11);
    out.int32(-1);
    out.int32(limits.wait_ms_max);
    out.int32(limits.bytes_min);
    out.int32(i32::MAX);
    out.int8(0);
    out.int32(0);
    out.int32(-1);
    out.count(1);
    out.string(topic);
    out.count(positions.len());
    for (partition, offset) in positions {
        out.int32(*partition);
        out.int32(-1);
        out.int64(*offset);
        out.int64(-1);
        out.int32(limits.partition_bytes_max);
    }
    out.count(0);
    out.string("");
    out.finish()
}

/// Calls `each` with partition and record bytes for every partition of a Fetch v11 answer.
pub(crate) fn fetched<'a>(
    body: &'a [u8],
    mut each: impl FnMut(i32, &'a [u8]) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let mut body = Reader::new(body);
    body.int32()?; // throttle time
    let error = body.int16()?;
    if error != 0 {
        return Err(format!("fetch answered error {error}"));
    }
    body.int32()?; // session
    for _ in 0..body.count()? {
        body.string()?;
        for _ in 0..body.count()? {
            let partition = body.int32()?;
            let error = body.int16()?;
            if error != 0 {
                return Err(format!(
                    "fetch of partition {partition} answered error {error}"
                ));
            }
            body.take(24)?; // high watermark, last stable offset, log start offset
            for _ in 0..body.count()? {
                body.take(16)?; // an aborted transaction
            }
            body.int32()?; // preferred read replica
            each(partition, body.bytes()?)?;
        }
    }
    Ok(())
}
