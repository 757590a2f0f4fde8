//! A server with prepared answers.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a client may take to send a request.
const PATIENCE: Duration = Duration::from_secs(2);

/// State shared with the server's thread.
#[derive(Default)]
struct State {
    answers: VecDeque<Vec<u8>>,
    /// The heads of the received requests.
    requests: Vec<String>,
}

/// A server that answers each request with the next answer, and then closes the connection.
pub(super) struct Server {
    pub(super) address: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// A server on the loopback interface. `otherwise` is its answer once it has no other left.
    pub(super) fn tcp(otherwise: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                client.set_nodelay(true).unwrap();
                answer(&mut client, &shared, otherwise);
                let _ = client.shutdown(Shutdown::Write);
            }
        });
        Self { address, state }
    }

    /// The same on a Unix socket.
    pub(super) fn unix(path: &Path, otherwise: &'static [u8]) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                // A connection may have several requests.
                while answer(&mut client, &shared, otherwise) {}
                let _ = client.shutdown(Shutdown::Write);
            }
        });
        Self { address: format!("unix://{}", path.display()), state }
    }

    /// Sets the answers to the next requests, and forgets the previous requests.
    pub(super) fn answer_with(&self, answers: Vec<Vec<u8>>) {
        *self.state.lock().unwrap() = State { answers: answers.into(), requests: Vec::new() };
    }

    /// The requests since [`Self::answer_with`].
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

/// Reads a request and answers it. Returns whether there was one and its answer has a known length.
fn answer(client: &mut (impl Read + Write), state: &Mutex<State>, otherwise: &[u8]) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            // TLS is not supported.
            Ok(1) if !(head.is_empty() && byte == [0x16]) => head.push(byte[0]),
            _ => return false,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    if client.read_exact(&mut body).is_err() {
        return false;
    }
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(head);
        state.answers.pop_front()
    };
    let goes_on = answer.as_deref().is_none_or(|answer| {
        answer.windows(16).any(|window| window.eq_ignore_ascii_case(b"content-length: "))
    });
    client.write_all(answer.as_deref().unwrap_or(otherwise)).is_ok() && goes_on
}
