//! From a frame to a handler and back to a frame.

use super::context::{RequestContext, Staged};
use crate::protocol::{ApiKey, DecodeError, EncodeError, Message, Reader};
use crate::runtime::Reply;
use bytes::BufMut;
use std::future::Future;
use std::pin::Pin;

/// How a request was taken.
pub enum Outcome {
    /// The answer is in the reply, or there is none.
    Done,
    Later(Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>),
    /// The connection ends, as Kafka ends it.
    Close(Refusal),
}

/// Why a request gets no answer and its connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0} is not served")]
    NotServed(&'static str),
    #[error("{api} version {version} is not supported")]
    UnsupportedVersion { api: &'static str, version: i16 },
    #[error("the request's header cannot be read: {0}")]
    Header(DecodeError),
    #[error("{api} version {version} cannot be read: {error}")]
    Unreadable {
        api: &'static str,
        version: i16,
        error: DecodeError,
    },
    #[error("a produce request that wants no answer failed")]
    Unacknowledged,
    #[error("the answer of {api} version {version} cannot be encoded: {error}")]
    Unanswerable {
        api: &'static str,
        version: i16,
        error: EncodeError,
    },
    #[error("the answer of {api} would be {bytes} bytes long")]
    TooLong { api: &'static str, bytes: u64 },
}

/// A request whose header was read.
pub(super) struct Call {
    pub(super) key: ApiKey,
    /// Whether the version is one that we have. Only ApiVersions comes here without.
    pub(super) known: bool,
    pub(super) context: RequestContext,
    pub(super) body: Reader,
}

/// What goes back as the body of a response.
pub(super) trait Answer: Send + 'static {
    fn write(&self, reply: &mut Reply, version: i16) -> Result<(), EncodeError>;
}

impl<T: Message + Send + 'static> Answer for T {
    fn write(&self, reply: &mut Reply, version: i16) -> Result<(), EncodeError> {
        self.encode(&mut reply.bytes, version)
    }
}

/// Everything of a call that its answer needs.
#[derive(Clone, Copy)]
pub(super) struct Return {
    key: ApiKey,
    version: i16,
    correlation_id: i32,
}

impl Call {
    pub(super) fn back(&self) -> Return {
        Return {
            key: self.key,
            version: self.context.version,
            correlation_id: self.context.correlation_id,
        }
    }

    /// Reads the body. Bytes behind it are passed over, as Kafka does: it looks at what it knows.
    pub(super) fn request<Q: Message>(&mut self) -> Result<Q, Refusal> {
        let (api, version) = (self.key.name(), self.context.version);
        Q::decode(&mut self.body, version).map_err(|error| Refusal::Unreadable {
            api,
            version,
            error,
        })
    }

    /// Reads the body, has it handled, and answers.
    pub(super) fn answer<Q: Message, A: Answer>(
        mut self,
        reply: &mut Reply,
        handle: impl FnOnce(Q, &RequestContext) -> Staged<A>,
    ) -> Outcome {
        let back = self.back();
        match self.request() {
            Ok(request) => back.send(handle(request, &self.context), reply),
            Err(refusal) => Outcome::Close(refusal),
        }
    }
}

impl Return {
    /// Answers in another version than was asked for.
    pub(super) fn in_version(self, version: i16) -> Return {
        Return { version, ..self }
    }

    /// Sends an answer that is there, or says that it comes later.
    pub(super) fn send<A: Answer>(self, answer: Staged<A>, reply: &mut Reply) -> Outcome {
        match answer {
            Staged::Ready(answer) => match self.write(&answer, reply) {
                Ok(()) => Outcome::Done,
                Err(refusal) => Outcome::Close(refusal),
            },
            Staged::Later(answer) => Outcome::Later(Box::pin(async move {
                let answer = answer.await;
                let mut reply = Reply::new();
                self.write(&answer, &mut reply)?;
                Ok(reply)
            })),
        }
    }

    fn write(self, answer: &impl Answer, reply: &mut Reply) -> Result<(), Refusal> {
        let api = self.key.name();
        let start = reply.begin_frame();
        reply.bytes.put_i32(self.correlation_id);
        if self.key.response_header_version(self.version) >= 1 {
            reply.bytes.put_u8(0); // no tagged fields
        }
        answer
            .write(reply, self.version)
            .map_err(|error| Refusal::Unanswerable {
                api,
                version: self.version,
                error,
            })?;
        reply
            .end_frame(start)
            .map_err(|bytes| Refusal::TooLong { api, bytes })
    }
}
