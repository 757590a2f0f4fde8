//! The connection to one client.

use std::io::{self, BufReader};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::Server;
use super::answer::{Answer, Body};
use super::range::{Wanted, Window};
use crate::Error;
use crate::causes;
use crate::error::OutputError;
use crate::http::header::{CONNECTION, TRANSFER_ENCODING};
use crate::http::{HeadError, Method, RequestHead, StatusCode, Version};
use crate::output::{Output, Writer as _};
use image::{Blobs, Chunk};

/// How long a client may take to send a request, and may be idle between requests.
const REQUEST_TIME: Duration = Duration::from_secs(20);
/// How long a client may stop reading an answer.
const STALL_TIME: Duration = Duration::from_secs(60);

/// Why a connection failed.
#[derive(Debug, Error)]
enum ConnectionError {
    #[error("setting up a connection")]
    SetUp(#[source] io::Error),
    #[error(transparent)]
    Delivery(#[from] Error),
}

/// Why the rest of a layer is not read.
enum Stop {
    /// The requested part was sent.
    Enough,
    Failed(Error),
}

pub(super) fn serve(server: &Server<'_>, number: u64, stream: &TcpStream) {
    // This only affects speed.
    let _ = stream.set_nodelay(true);
    if let Err(error) = converse(server, number, stream)
        && !crate::is_closed(&error)
        && !server.lock().stopped
    {
        server.observer.warn(&format!("serving a client failed: {}", causes::line(&error)));
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn converse(server: &Server<'_>, number: u64, stream: &TcpStream) -> Result<(), ConnectionError> {
    stream.set_read_timeout(Some(REQUEST_TIME)).map_err(ConnectionError::SetUp)?;
    stream.set_write_timeout(Some(STALL_TIME)).map_err(ConnectionError::SetUp)?;
    let mut input = BufReader::new(stream);
    let output = stream.try_clone().map_err(ConnectionError::SetUp)?;
    let mut output = Output::new(output.into())?.of("the answer").with_patience(STALL_TIME);
    loop {
        server.note_waiting(number, true);
        let head = RequestHead::read(&mut input, Some(Instant::now() + REQUEST_TIME));
        server.note_waiting(number, false);
        let head = match head {
            Ok(head) => head,
            Err(HeadError::Closed | HeadError::TimedOut | HeadError::Io(_)) => return Ok(()),
            Err(error) => {
                let says = match error {
                    HeadError::NotHttp => "not an HTTP/1.1 request".to_owned(),
                    error => error.to_string(),
                };
                let answer = Answer::error(StatusCode::BAD_REQUEST, "UNSUPPORTED", &says);
                return Ok(send(answer, server, &mut output, true, false)?);
            }
        };
        let (answer, with_body) = match head.method {
            Method::GET => (Answer::to(server.repository, &head), true),
            Method::HEAD => (Answer::to(server.repository, &head), false),
            _ => {
                let says = "this registry is read-only";
                (Answer::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", says), true)
            }
        };
        // Request bodies are not read, so what follows one could not be parsed.
        let has_body = head.fields.contains(TRANSFER_ENCODING)
            || !matches!(head.fields.content_length(), Ok(None | Some(0)));
        let close =
            has_body || head.version != Version::HTTP_11 || head.fields.lists(CONNECTION, "close");
        send(answer, server, &mut output, with_body, !close)?;
        if close {
            return Ok(());
        }
    }
}

/// Sends an answer, or only its head.
fn send(
    answer: Answer<'_>,
    server: &Server<'_>,
    output: &mut Output,
    with_body: bool,
    keep: bool,
) -> Result<(), Error> {
    output.put(answer.head(keep).as_bytes())?;
    if with_body {
        match answer.body {
            Body::Text(text) => output.put(text.as_bytes())?,
            Body::Layer(blobs, layer, Wanted::Part(range)) => {
                send_part(server, blobs, layer, Window::new(range), output)?;
            }
            Body::Layer(blobs, layer, _) => {
                let blob = &blobs.all()[layer];
                server.observer.bytes_requested(blob.size);
                let mut before = output.position();
                blobs.read(layer, |part| {
                    match part {
                        Chunk::Bytes(bytes) => output.put(bytes)?,
                        Chunk::File(mut content) => output.put_file(&mut content)?,
                        Chunk::End => {}
                    }
                    server.note_moved(output.position() - before);
                    before = output.position();
                    Ok::<_, Error>(())
                })?;
                output.flush()?;
                server.note_sent(blob.digest, blob.size);
            }
        }
    }
    Ok(output.flush()?)
}

/// Sends the requested part of a layer.
fn send_part(
    server: &Server<'_>,
    blobs: &Blobs<'_>,
    layer: usize,
    mut window: Window,
    output: &mut Output,
) -> Result<(), Error> {
    let sent = blobs.read(layer, |part| {
        if window.is_done() {
            return Err(Stop::Enough);
        }
        let before = output.position();
        window.put(part, output).map_err(Stop::Failed)?;
        server.moved.fetch_add(output.position() - before, Ordering::Relaxed);
        Ok(())
    });
    match sent {
        Ok(()) | Err(Stop::Enough) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

impl From<OutputError> for ConnectionError {
    fn from(error: OutputError) -> Self {
        Self::Delivery(error.into())
    }
}

impl From<image::Error> for Stop {
    fn from(error: image::Error) -> Self {
        Self::Failed(error.into())
    }
}
