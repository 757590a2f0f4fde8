//! The connection to a daemon, and the event loop that drives it.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{HeaderValue, Request};
use prost::Message;
use tokio::net::UnixStream;
use tokio::runtime::{self, Runtime};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::error::Error;
use crate::status::shown;
use crate::stream::{Stream, framed};

/// How many bytes the daemon may send before they are read. Its answers are small.
const WINDOW: u32 = 1 << 20;
/// The maximum size in bytes of an answer's headers.
const MAX_HEADERS: u32 = 64 << 10;
/// How many bytes are handed to HTTP/2 before the daemon accepts them.
const SEND_BUFFER: usize = 1 << 20;

/// A connection that makes one call at a time. Data is only sent and received during a call.
#[derive(Debug)]
pub(crate) struct Connection {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
    /// How long a call may take, or a large one may stall.
    limit: Duration,
}

/// Headers sent with every call.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) namespace: HeaderValue,
    pub(crate) lease: Option<HeaderValue>,
}

/// A method of the API, and the action it performs, for error messages.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) path: &'static str,
    pub(crate) action: &'static str,
}

impl Method {
    /// The action together with its object.
    pub(crate) fn action(&self, object: &str) -> String {
        if object.is_empty() {
            return self.action.to_owned();
        }
        format!("{} `{}`", self.action, shown(object))
    }
}

impl Connection {
    pub(crate) fn open(socket: &Path, limit: Duration) -> Result<Self, Error> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(Error::Runtime)?;
        let connect = async {
            let stream = timeout(limit, UnixStream::connect(socket)).await??;
            let mut builder = Builder::new();
            builder.enable_push(false).max_header_list_size(MAX_HEADERS);
            builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
            builder.max_send_buffer_size(SEND_BUFFER);
            let (requests, connection) =
                builder.handshake(stream).await.map_err(io::Error::other)?;
            // Each pending call learns by itself when the connection ends.
            tokio::spawn(connection);
            Ok(requests)
        };
        let requests = runtime
            .block_on(connect)
            .map_err(|source| Error::Connect { socket: socket.to_owned(), source })?;
        Ok(Self { runtime, requests, limit })
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Runs a future to its end, for at most as long as a call may take.
    pub(crate) fn wait<T>(
        &self,
        action: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let in_time = self.runtime.block_on(async { timeout(self.limit, work).await });
        in_time.unwrap_or_else(|_| {
            // Tells the daemon that the call was cancelled.
            self.settle();
            Err(Error::TimedOut { action: action.to_owned(), limit: self.limit })
        })
    }

    /// Lets the connection send what is pending, such as the cancellation of a call.
    pub(crate) fn settle(&self) {
        self.runtime.block_on(async {
            for _ in 0..3 {
                yield_now().await;
            }
        });
    }

    /// Begins a call.
    pub(crate) async fn begin(
        &self,
        method: &Method,
        object: &str,
        metadata: &Metadata,
    ) -> Result<Stream, Error> {
        let action = method.action(object);
        let broken = |error: h2::Error| Error::Broken {
            action: action.clone(),
            said: shown(&error.to_string()),
        };
        let request = Request::post(format!("http://localhost{}", method.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("containerd-namespace", &metadata.namespace);
        let request = match &metadata.lease {
            Some(lease) => request.header("containerd-lease", lease),
            None => request,
        };
        let request = request.body(()).expect("paths and headers are valid");
        let mut requests = self.requests.clone().ready().await.map_err(broken)?;
        let (answers, requests) = requests.send_request(request, false).map_err(broken)?;
        Ok(Stream::new(action, requests, answers))
    }

    /// Makes a call with one message, and passes each answer to `each`.
    pub(crate) fn call_for_many(
        &self,
        (method, object): (&Method, &str),
        metadata: &Metadata,
        message: Bytes,
        each: &mut dyn FnMut(&Stream, Bytes) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.wait(&method.action(object), async {
            let mut stream = self.begin(method, object, metadata).await?;
            stream.send(message, true).await?;
            while let Some(answer) = stream.next().await? {
                each(&stream, answer)?;
            }
            Ok(())
        })
    }

    /// Makes a call with one message and one answer.
    pub(crate) fn call<A: Message + Default>(
        &self,
        (method, object): (&Method, &str),
        metadata: &Metadata,
        message: &impl Message,
    ) -> Result<A, Error> {
        let mut only = None;
        let mut keep = |stream: &Stream, answer| match only.replace(answer) {
            None => Ok(()),
            Some(_) => Err(stream.unexpected("one message", "several messages")),
        };
        self.call_for_many((method, object), metadata, framed(message), &mut keep)?;
        let answer = only.ok_or_else(|| unexpected((method, object), "a message", "no message"))?;
        A::decode(answer).map_err(|error| {
            unexpected(
                (method, object),
                "a valid message of this method",
                &shown(&error.to_string()),
            )
        })
    }
}

/// The error for an invalid answer.
pub(crate) fn unexpected((method, object): (&Method, &str), expected: &str, found: &str) -> Error {
    let action = method.action(object);
    Error::Unexpected { action, expected: expected.to_owned(), found: found.to_owned() }
}
