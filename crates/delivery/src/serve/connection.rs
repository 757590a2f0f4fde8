//! One client: requests in, answers out, until either side has enough.

use std::io::BufReader;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use thiserror::Error;

use super::Server;
use super::range::{Wanted, Window};
use super::repository::Blob;
use super::route::{Page, Route};
use crate::http::header::{CONNECTION, RANGE, TRANSFER_ENCODING};
use crate::http::{HeadError, Method, RequestHead, StatusCode, Version};
use crate::output::{Output, Writer as _};
use formats::digest::Digest;
use image::{Blobs, Chunk};
use oci::{Descriptor, Flavor, Index};

/// How long a client may take to send a request, and be idle between two.
const REQUEST_TIME: Duration = Duration::from_secs(20);
/// How long it may take nothing of an answer.
const STALL_TIME: Duration = Duration::from_secs(60);
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// An answer's head, and its body where it is at hand.
#[derive(Debug)]
struct Answer<'a> {
    status: StatusCode,
    media_type: &'a str,
    /// Further lines of the head.
    fields: String,
    body: Body<'a>,
}

#[derive(Debug)]
enum Body<'a> {
    Text(String),
    Layer(&'a Blobs<'a>, usize, Wanted),
}

/// The wanted part of a layer was sent, so the rest need not be read.
#[derive(Debug, Error)]
#[error("nothing more is wanted")]
struct Enough;

pub(super) fn serve(server: &Server<'_>, number: u64, stream: &TcpStream) {
    // Speed alone depends on it.
    let _ = stream.set_nodelay(true);
    if let Err(error) = converse(server, number, stream)
        && !crate::is_closed(error.as_ref())
        && !server.lock().stopped
    {
        server.observer.warn(&format!("a client was not served: {error:#}"));
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn converse(server: &Server<'_>, number: u64, stream: &TcpStream) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIME)).context("setting up a connection")?;
    stream.set_write_timeout(Some(STALL_TIME)).context("setting up a connection")?;
    let mut input = BufReader::new(stream);
    let output = stream.try_clone().context("setting up a connection")?;
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
                    HeadError::NotHttp => "this is not HTTP/1.1".to_owned(),
                    error => error.to_string(),
                };
                let answer = Answer::error(StatusCode::BAD_REQUEST, "UNSUPPORTED", &says);
                return answer.send(server, &mut output, true, false);
            }
        };
        let (answer, with_body) = match head.method {
            Method::GET => (answer(server, &head), true),
            Method::HEAD => (answer(server, &head), false),
            _ => {
                let says = "this registry is read-only";
                (Answer::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", says), true)
            }
        };
        // Bodies of requests are not read, so what comes after one cannot be understood.
        let has_body = head.fields.contains(TRANSFER_ENCODING)
            || !matches!(head.fields.content_length(), Ok(None | Some(0)));
        let close =
            has_body || head.version != Version::HTTP_11 || head.fields.lists(CONNECTION, "close");
        answer.send(server, &mut output, with_body, !close)?;
        if close {
            return Ok(());
        }
    }
}

fn answer<'a>(server: &Server<'a>, head: &RequestHead) -> Answer<'a> {
    let repository = server.repository;
    let not_found = |code, what: &str| Answer::error(StatusCode::NOT_FOUND, code, what);
    let is_shown = |route: &Route| !(repository.is_secret() && route.lists_names());
    let Some((route, page)) = Route::parse(&head.target).filter(|(route, _)| is_shown(route))
    else {
        return not_found("UNSUPPORTED", "there is no such resource");
    };
    match route {
        Route::Base => Answer::text(JSON, "{}".into()),
        Route::Catalog => list(&page, "/v2/_catalog", &repository.names(), |names| {
            json!({"repositories": names}).to_string()
        }),
        Route::Tags(name) => match repository.tags(&name) {
            None => not_found("NAME_UNKNOWN", "there is no such repository"),
            Some(tags) => list(&page, &format!("/v2/{name}/tags/list"), &tags, |tags| {
                json!({"name": name, "tags": tags}).to_string()
            }),
        },
        Route::Manifest(name, target) => {
            let all = repository.manifests(&name, &target);
            let types = all.iter().map(|documents| documents.descriptor.media_type.as_str());
            match all.iter().find(|documents| head.fields.accepts(&documents.descriptor.media_type))
            {
                None if all.is_empty() => {
                    not_found("MANIFEST_UNKNOWN", "there is no such manifest")
                }
                // As other registries answer it.
                None => not_found(
                    "MANIFEST_UNKNOWN",
                    &format!(
                        "the field Accept must name {}",
                        types.collect::<Vec<_>>().join(" or ")
                    ),
                ),
                Some(documents) => {
                    let Descriptor { media_type, digest, .. } = &documents.descriptor;
                    Answer::text(media_type, documents.manifest.clone()).with_digest(*digest)
                }
            }
        }
        Route::Blob(name, digest) => match repository.blob(&name, digest) {
            None => not_found("BLOB_UNKNOWN", "there is no such blob"),
            Some(Blob::Document(text)) => Answer::text(BYTES, text.into()).with_digest(digest),
            Some(Blob::Layer(blobs, layer)) => layer_answer(blobs, layer, head.fields.get(RANGE)),
        },
        // There are none; an empty list says that, and that clients need not try a tag instead.
        Route::Referrers(name, _) => match repository.tags(&name) {
            None => not_found("NAME_UNKNOWN", "there is no such repository"),
            Some(_) => Answer::text(Flavor::Oci.index(), Index::new(Flavor::Oci).to_json()),
        },
    }
}

fn layer_answer<'a>(blobs: &'a Blobs<'a>, layer: usize, range: Option<&str>) -> Answer<'a> {
    let blob = &blobs.all()[layer];
    let (size, wanted) = (blob.size, Wanted::parse(range, blob.size));
    let mut answer = match &wanted {
        Wanted::Whole => Answer::text(BYTES, String::new()),
        Wanted::Part(range) => Answer {
            status: StatusCode::PARTIAL_CONTENT,
            fields: format!("Content-Range: bytes {}-{}/{size}\r\n", range.start, range.end - 1),
            ..Answer::text(BYTES, String::new())
        },
        Wanted::Nothing => {
            let says = "the blob does not have these bytes";
            let mut answer = Answer::error(StatusCode::RANGE_NOT_SATISFIABLE, "UNSUPPORTED", says);
            answer.fields = format!("Content-Range: bytes */{size}\r\n");
            return answer;
        }
    };
    answer.fields.push_str("Accept-Ranges: bytes\r\n");
    answer.body = Body::Layer(blobs, layer, wanted);
    answer.with_digest(blob.digest)
}

/// A list, or the page of it that is wanted.
fn list<'a>(
    page: &Page,
    path: &str,
    all: &[&str],
    show: impl FnOnce(&[&str]) -> String,
) -> Answer<'a> {
    let (names, more) = page.of(all);
    let mut answer = Answer::text(JSON, show(&names));
    if let (true, Some(last), Some(limit)) = (more, names.last(), page.limit) {
        answer.fields = format!("Link: <{path}?n={limit}&last={last}>; rel=\"next\"\r\n");
    }
    answer
}

impl<'a> Answer<'a> {
    fn text(media_type: &'a str, text: String) -> Self {
        Self { status: StatusCode::OK, media_type, fields: String::new(), body: Body::Text(text) }
    }

    fn error(status: StatusCode, code: &str, message: &str) -> Self {
        let body = json!({"errors": [{"code": code, "message": message}]});
        Self { status, ..Self::text(JSON, body.to_string()) }
    }

    fn with_digest(mut self, digest: Digest) -> Self {
        let fields = format!("Docker-Content-Digest: {digest}\r\nEtag: \"{digest}\"\r\n");
        self.fields.push_str(&fields);
        self
    }

    fn length(&self) -> u64 {
        match &self.body {
            Body::Text(text) => text.len() as u64,
            Body::Layer(_, _, Wanted::Part(range)) => range.end - range.start,
            Body::Layer(blobs, layer, _) => blobs.all()[*layer].size,
        }
    }

    fn send(
        self,
        server: &Server<'_>,
        output: &mut Output,
        with_body: bool,
        keep: bool,
    ) -> anyhow::Result<()> {
        let head = format!(
            "HTTP/1.1 {}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: \
             {}\r\nContent-Length: {}\r\n{}Connection: {}\r\n\r\n",
            self.status,
            self.media_type,
            self.length(),
            self.fields,
            if keep { "keep-alive" } else { "close" },
        );
        output.put(head.as_bytes())?;
        if with_body {
            match self.body {
                Body::Text(text) => output.put(text.as_bytes())?,
                Body::Layer(blobs, layer, Wanted::Part(range)) => {
                    send_part(server, blobs, layer, Window::new(range), output)?;
                }
                Body::Layer(blobs, layer, _) => {
                    let blob = &blobs.all()[layer];
                    server.observer.bytes_expected(blob.size);
                    let mut before = output.position();
                    blobs.read(layer, |part| {
                        match part {
                            Chunk::Bytes(bytes) => output.put(bytes)?,
                            Chunk::File(mut content) => output.put_file(&mut content)?,
                            Chunk::End => {}
                        }
                        server.note_moved(output.position() - before);
                        before = output.position();
                        anyhow::Ok(())
                    })?;
                    output.flush()?;
                    server.note_sent(blob.digest, blob.size);
                }
            }
        }
        Ok(output.flush()?)
    }
}

fn send_part(
    server: &Server<'_>,
    blobs: &Blobs<'_>,
    layer: usize,
    mut window: Window,
    output: &mut Output,
) -> anyhow::Result<()> {
    let sent: anyhow::Result<()> = blobs.read(layer, |part| {
        if window.is_done() {
            return Err(Enough.into());
        }
        let before = output.position();
        window.put(part, output)?;
        server.moved.fetch_add(output.position() - before, Ordering::Relaxed);
        Ok(())
    });
    match sent {
        Err(error) if error.is::<Enough>() => Ok(()),
        sent => sent,
    }
}
