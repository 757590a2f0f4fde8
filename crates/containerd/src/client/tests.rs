//! Misbehaving daemons: whatever they do, a call ends with an error in bounded time and memory.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use tempfile::TempDir;

use crate::messages::{ContentData, VersionResponse, WrittenContent};
use crate::stream::framed;
use crate::{Client, Error, Labels, Reason, Upload};
use formats::digest::{BlobId, Digest};

/// The time limit for calls that end by themselves, even on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// The time limit for calls that do not.
const SHORT: Duration = Duration::from_millis(500);
/// The HTTP/2 frame that each side begins with.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// A client of a daemon that runs this on its only connection.
fn client_of(
    limit: Duration,
    daemon: impl FnOnce(UnixStream) + Send + 'static,
) -> (Client, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || daemon(listener.accept().unwrap().0));
    (Client::connect(&socket, "default", limit).unwrap(), directory)
}

/// The error of a call to such a daemon.
fn error_of(limit: Duration, daemon: impl FnOnce(UnixStream) + Send + 'static) -> Error {
    let (client, _directory) = client_of(limit, daemon);
    in_time(|| client.version().map(|_| ()))
}

/// The error of a call, which must take less than half of `LONG`.
fn in_time(call: impl FnOnce() -> Result<(), Error>) -> Error {
    let begun = Instant::now();
    let error = call().unwrap_err();
    assert!(begun.elapsed() < LONG / 2, "{error}: {:?}", begun.elapsed());
    error
}

/// What a daemon answers to every call.
#[derive(Clone)]
struct Answer {
    kind: &'static str,
    data: Vec<Bytes>,
    /// How often the last element of `data` is sent.
    times: usize,
    /// `None` if the answer never ends.
    status: Option<&'static str>,
}

/// A successful answer with these bytes.
fn answer(data: &[Bytes]) -> Answer {
    Answer { kind: "application/grpc", data: data.to_vec(), times: 1, status: Some("0") }
}

/// A daemon that gives the same answer to every call and reads none of the requests.
fn answering(answer: Answer) -> impl FnOnce(UnixStream) {
    move |stream| {
        stream.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stream = tokio::net::UnixStream::from_std(stream).unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut calls = Vec::new();
            while let Some(Ok((request, respond))) = connection.accept().await {
                calls.push(request);
                tokio::spawn(respond_with(answer.clone(), respond));
            }
        });
    }
}

async fn respond_with(answer: Answer, mut respond: SendResponse<Bytes>) {
    let head = Response::builder().header("content-type", answer.kind).body(()).unwrap();
    let mut send = respond.send_response(head, false).unwrap();
    let (last, first) = answer.data.split_last().map_or((None, &[][..]), |(l, f)| (Some(l), f));
    for data in first.iter().chain(last.into_iter().cycle().take(answer.times)) {
        // In parts that fit into any window.
        for part in data.chunks(16 << 10).map(Bytes::copy_from_slice) {
            send.reserve_capacity(part.len());
            while send.capacity() < part.len() {
                let room = std::future::poll_fn(|context| send.poll_capacity(context)).await;
                if !matches!(room, Some(Ok(_))) {
                    return;
                }
            }
            if send.send_data(part, false).is_err() {
                return;
            }
        }
    }
    match answer.status {
        Some("") => send.send_trailers(HeaderMap::new()).unwrap(),
        Some(status) => {
            let status = ("grpc-status".parse().unwrap(), status.parse().unwrap());
            send.send_trailers(HeaderMap::from_iter([status])).unwrap();
        }
        None => std::future::pending().await,
    }
}

fn version(size: usize) -> Bytes {
    framed(&VersionResponse { version: "x".repeat(size), revision: String::new() })
}

#[test]
fn what_is_not_a_daemon_is_an_error_in_time() {
    let silent = error_of(SHORT, |mut stream| drop(stream.read_to_end(&mut Vec::new())));
    assert!(matches!(silent, Error::TimedOut { .. }), "{silent}");
    assert!(silent.to_string().contains("did not report its version within 0.5 s"), "{silent}");
    let says = |what: &'static [u8]| {
        error_of(LONG, move |mut stream| {
            stream.write_all(what).unwrap();
            // Keeps the connection open.
            drop(stream.read_to_end(&mut Vec::new()));
        })
    };
    let go_away = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (what, error) in [
        ("garbage", says(&[b'\x1b'; 4096])),
        ("another protocol", says(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        ("a farewell", says(go_away)),
        ("an end", error_of(LONG, |mut stream| stream.read_exact(&mut [0; 24]).unwrap())),
        (
            "settings and an end",
            error_of(LONG, |mut stream| {
                stream.write_all(SETTINGS).unwrap();
                stream.read_exact(&mut [0; 24]).unwrap();
            }),
        ),
    ] {
        assert!(matches!(error, Error::Broken { .. }), "{what}: {error}");
        assert!(!error.to_string().contains('\x1b'), "{what}: {error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let error = Client::connect(&directory.path().join("s"), "default", LONG).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    let error = Client::connect(directory.path(), "a\nb", LONG).unwrap_err();
    assert!(matches!(error, Error::InvalidName { .. }), "{error}");
}

#[test]
fn answers_that_are_not_valid_are_errors_in_time() {
    let valid = [version(5)];
    let with = |data: &[&[u8]]| {
        answer(&data.iter().map(|data| Bytes::copy_from_slice(data)).collect::<Vec<_>>())
    };
    for (answer, found) in [
        (Answer { kind: "text/html", ..answer(&valid) }, "type `text/html`"),
        (with(&[b"\x01\0\0\0\x01x"]), "a compressed message"),
        (with(&[b"\0\0\x50\0\0"]), "a larger message"),
        (with(&[b"\0\0\0\0\x09x"]), "a message that ends too early"),
        (with(&[b"\0\0\0"]), "a message that ends too early"),
        (with(&[b"\0\0\0\0\x02\x0a\x7f"]), "expected a valid message of this method"),
        (with(&[]), "found no message"),
        (Answer { times: 2, ..answer(&valid) }, "several"),
        (Answer { status: Some(""), ..answer(&valid) }, "found none"),
        (Answer { status: Some("x\u{9b}"), ..answer(&valid) }, "found `x`"),
    ] {
        let error = error_of(LONG, answering(answer));
        assert!(matches!(error, Error::Unexpected { .. }), "{found}: {error}");
        assert!(error.to_string().contains(found), "{found}: {error}");
    }
    for answer in [
        Answer { status: None, ..answer(&valid) },
        Answer { status: None, ..with(&[b"\0\0\0\0\x09x"]) },
    ] {
        let error = error_of(SHORT, answering(answer));
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }
    // Either side may give up first.
    let error = error_of(LONG, answering(Answer { times: usize::MAX, ..answer(&valid) }));
    assert!(matches!(error, Error::Unexpected { .. } | Error::Broken { .. }), "{error}");
    let error = error_of(LONG, answering(Answer { status: Some("12"), ..with(&[]) }));
    assert_eq!(error.reason(), Some(Reason::Unimplemented));
}

#[test]
fn answers_in_pieces_are_read_and_what_is_unknown_in_them_is_skipped() {
    // Field 9 is a string, field 1 the version.
    let message = b"\0\0\0\0\x0a\x4a\x03new\x0a\x031.6";
    let pieces: Vec<_> = message.chunks(1).map(Bytes::copy_from_slice).collect();
    let (client, _directory) = client_of(LONG, answering(answer(&pieces)));
    assert_eq!(client.version().unwrap().version, "1.6");
    // An answer larger than the window, then more calls.
    let (client, _directory) = client_of(LONG, answering(answer(&[version(3 << 20)])));
    for _ in 0..3 {
        client.version().unwrap();
    }
}

#[test]
fn content_that_is_read_is_no_larger_than_it_should_be() {
    let part = |data: &'static [u8]| framed(&ContentData { offset: 0, data: data.into() });
    let endless = Answer { times: usize::MAX, ..answer(&[part(b"")]) };
    for (answer, size) in [
        (answer(&[part(b"abcd")]), 3),
        (answer(&[part(b"abc"), part(b"abc")]), 6),
        (answer(&[part(b"ab")]), 3),
        (answer(&[part(b"abx")]), 3),
        (endless, 3),
    ] {
        let blob = BlobId { digest: Digest::of(b"abc"), size };
        let (client, _directory) = client_of(SHORT, answering(answer));
        let error = in_time(|| client.read_content(blob).map(|_| ()));
        assert!(!matches!(error, Error::Refused { .. }), "{error}");
    }
}

/// Writes 64 MiB to a daemon that gives this answer.
fn upload_to(limit: Duration, answer: Answer) -> Error {
    let (client, _directory) = client_of(limit, answering(answer));
    let blob = BlobId { digest: Digest::of(b""), size: 64 << 20 };
    let push = |mut upload: Upload<'_>| {
        (0..64).try_for_each(|_| upload.push(&vec![0; 1 << 20]))?;
        upload.commit()
    };
    in_time(|| client.upload("some", blob, &Labels::new()).and_then(|upload| push(upload.unwrap())))
}

#[test]
fn a_daemon_that_takes_no_more_is_an_error_in_time() {
    let begun = [framed(&WrittenContent::default())];
    let stalled = upload_to(SHORT, Answer { status: None, ..answer(&begun) });
    assert!(matches!(stalled, Error::TimedOut { .. }), "{stalled}");
    let done = upload_to(LONG, answer(&begun));
    assert!(matches!(done, Error::Unexpected { .. }), "{done}");
    let full = upload_to(LONG, Answer { status: Some("2"), ..answer(&begun) });
    assert_eq!(full.reason(), Some(Reason::Other(2)), "{full}");
    let endless = upload_to(SHORT, Answer { times: usize::MAX, ..answer(&begun) });
    assert!(!matches!(endless, Error::Refused { .. }), "{endless}");
    let negative = framed(&WrittenContent { offset: -1, ..WrittenContent::default() });
    let negative = upload_to(LONG, answer(&[negative]));
    assert!(matches!(negative, Error::Unexpected { .. }), "{negative}");
}
