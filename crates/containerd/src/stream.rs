//! One gRPC call: messages in both directions over an HTTP/2 stream, each prefixed with its length.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::response::Parts;
use prost::Message;

use crate::error::Error;
use crate::status::{self, shown};

/// The bytes before each message: a flag for compression, and the length in four bytes.
const PREFIX: usize = 5;
/// The maximum size of a message from the daemon, the same as in Go's clients.
const MAX_MESSAGE: usize = 4 << 20;

/// A call in progress.
#[derive(Debug)]
pub(crate) struct Stream {
    /// What containerd is asked to do, for error messages.
    pub(crate) action: String,
    requests: SendStream<Bytes>,
    answers: Answers,
}

#[derive(Debug)]
enum Answers {
    /// The headers have not arrived yet.
    Awaited(ResponseFuture),
    Body(Body),
    /// Everything has arrived.
    Ended,
}

/// The body of the answer.
#[derive(Debug)]
struct Body {
    stream: RecvStream,
    /// The start of an incomplete message.
    buffer: BytesMut,
}

/// The next part of a body.
enum Part {
    Message(Bytes),
    /// The trailers after the last message.
    End(HeaderMap),
}

/// What is wrong with a body.
enum Fault {
    Connection(h2::Error),
    /// It contains this.
    Invalid(&'static str),
}

/// A message with its prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    put_prefix(&mut frame, length);
    message.encode_raw(&mut frame);
    frame.freeze()
}

/// The prefix and the fields of a message before its last field, which has that many bytes.
pub(crate) fn framed_before(message: &impl Message, field: u8, bytes: usize) -> Bytes {
    /// The wire type, in the low three bits of a protobuf key, of a field with a length.
    const LENGTH_DELIMITED: u8 = 2;
    let mut head = BytesMut::new();
    message.encode_raw(&mut head);
    head.put_u8(field << 3 | LENGTH_DELIMITED);
    prost::encode_length_delimiter(bytes, &mut head).expect("the buffer grows");
    let mut frame = BytesMut::with_capacity(PREFIX + head.len());
    put_prefix(&mut frame, head.len() + bytes);
    frame.put(head);
    frame.freeze()
}

fn put_prefix(frame: &mut BytesMut, length: usize) {
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("messages have few MiB"));
}

impl Stream {
    pub(crate) fn new(
        action: String,
        requests: SendStream<Bytes>,
        answers: ResponseFuture,
    ) -> Self {
        Self { action, requests, answers: Answers::Awaited(answers) }
    }

    /// Sends bytes as fast as the daemon accepts them. Answers that arrive meanwhile are checked
    /// and dropped.
    pub(crate) async fn send(&mut self, mut bytes: Bytes, is_last: bool) -> Result<(), Error> {
        while !bytes.is_empty() {
            self.requests.reserve_capacity(bytes.len());
            let room = poll_fn(|context| self.poll_room(context)).await?;
            let Some(room) = room else { return Err(self.how_it_ended().await) };
            let part = bytes.split_to(room.min(bytes.len()));
            let sent = self.requests.send_data(part, is_last && bytes.is_empty());
            if let Err(error) = sent {
                return Err(self.broken(&error));
            }
        }
        Ok(())
    }

    /// How many bytes may be sent; `None` if the daemon accepts no more.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<usize>, Error>> {
        loop {
            match self.poll_next(context) {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(Ok(None)) => {
                    let found = "an answer that ended before that";
                    return Poll::Ready(Err(
                        self.unexpected("the rest of the data to be accepted", found)
                    ));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        loop {
            if self.requests.capacity() > 0 {
                return Poll::Ready(Ok(Some(self.requests.capacity())));
            }
            match ready!(self.requests.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Why the daemon accepts no more.
    async fn how_it_ended(&mut self) -> Error {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return self.unexpected("more data to be accepted", "a closed stream"),
                Err(error) => return error,
            }
        }
    }

    /// Cancels the call; returns whether it was still in progress.
    pub(crate) fn cancel(&mut self) -> bool {
        let is_under_way = !matches!(self.answers, Answers::Ended);
        if is_under_way {
            self.requests.send_reset(h2::Reason::CANCEL);
        }
        is_under_way
    }

    /// The next message; `None` after the last one of a successful call.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            match &mut self.answers {
                Answers::Ended => return Poll::Ready(Ok(None)),
                Answers::Awaited(answer) => {
                    let answer = ready!(Pin::new(answer).poll(context));
                    let (head, body) = answer.map_err(|error| self.broken(&error))?.into_parts();
                    self.check_head(&head)?;
                    if body.is_end_stream() {
                        return Poll::Ready(self.end(&head.headers));
                    }
                    self.answers = Answers::Body(Body { stream: body, buffer: BytesMut::new() });
                }
                Answers::Body(body) => {
                    let next = match ready!(body.poll_next(context)) {
                        Ok(Part::Message(message)) => Ok(Some(message)),
                        Ok(Part::End(trailers)) => self.end(&trailers),
                        Err(Fault::Connection(error)) => Err(self.broken(&error)),
                        Err(Fault::Invalid(found)) => {
                            Err(self.unexpected("whole plain messages of at most 4 MiB", found))
                        }
                    };
                    return Poll::Ready(next);
                }
            }
        }
    }

    /// Checks that the answer comes from a gRPC server, which also uses these headers to refuse.
    fn check_head(&self, head: &Parts) -> Result<(), Error> {
        let kind = head.headers.get(CONTENT_TYPE).map_or(&[][..], |kind| kind.as_bytes());
        if head.status == http::StatusCode::OK && kind.starts_with(b"application/grpc") {
            return Ok(());
        }
        let kind = shown(&String::from_utf8_lossy(kind));
        let found = format!("status {} with type `{kind}`", head.status.as_u16());
        Err(self.unexpected("status 200 with type `application/grpc`", &found))
    }

    /// Ends the answers with the status in their last headers.
    fn end(&mut self, headers: &HeaderMap) -> Result<Option<Bytes>, Error> {
        self.answers = Answers::Ended;
        match status::of_headers(headers, &self.action) {
            Some(ended) => ended.map(|()| None),
            None => Err(self.unexpected("a gRPC status at its end", "none")),
        }
    }

    /// The error for an invalid answer.
    pub(crate) fn unexpected(&self, expected: &str, found: &str) -> Error {
        let action = self.action.clone();
        Error::Unexpected { action, expected: expected.to_owned(), found: found.to_owned() }
    }

    fn broken(&self, error: &h2::Error) -> Error {
        Error::Broken { action: self.action.clone(), said: shown(&error.to_string()) }
    }
}

impl Body {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Part, Fault>> {
        loop {
            if let Some(length) = self.message_length()?
                && self.buffer.len() >= PREFIX + length
            {
                self.buffer.advance(PREFIX);
                return Poll::Ready(Ok(Part::Message(self.buffer.split_to(length).freeze())));
            }
            match ready!(self.stream.poll_data(context)) {
                Some(data) => {
                    let data = data?;
                    self.buffer.extend_from_slice(&data);
                    self.stream.flow_control().release_capacity(data.len())?;
                }
                None if !self.buffer.is_empty() => {
                    return Poll::Ready(Err(Fault::Invalid("a message that ends too early")));
                }
                None => {
                    let trailers = ready!(self.stream.poll_trailers(context))?;
                    return Poll::Ready(Ok(Part::End(trailers.unwrap_or_default())));
                }
            }
        }
    }

    /// The length of the next message, if that has arrived.
    fn message_length(&self) -> Result<Option<usize>, Fault> {
        let Some(mut prefix) = self.buffer.get(..PREFIX) else { return Ok(None) };
        let is_compressed = prefix.get_u8() != 0;
        let length = prefix.get_u32() as usize;
        match (is_compressed, length > MAX_MESSAGE) {
            (true, _) => Err(Fault::Invalid("a compressed message")),
            (_, true) => Err(Fault::Invalid("a larger message")),
            _ => Ok(Some(length)),
        }
    }
}

impl From<h2::Error> for Fault {
    fn from(error: h2::Error) -> Self {
        Self::Connection(error)
    }
}
