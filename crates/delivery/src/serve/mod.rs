//! A read-only registry of images in the store.
//!
//! Layers are made when they are requested, so only the documents are held in memory. Each
//! connection has a thread, and the number of connections is limited.

mod answer;
mod connection;
mod error;
mod range;
mod repository;
mod route;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::Transfer;
use crate::observer::Observer;
pub use error::ServeError;
use formats::digest::Digest;
use image::threads;
pub use repository::Repository;

/// The maximum number of connections at a time; further ones wait.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may be idle while others wait.
const IDLE_TIME: Duration = Duration::from_millis(500);
/// How long to pause when the system cannot accept more connections.
const PAUSE: Duration = Duration::from_millis(50);

/// A registry that listens on an address.
#[derive(Debug)]
pub struct Server<'a> {
    listener: TcpListener,
    address: SocketAddr,
    repository: &'a Repository<'a>,
    observer: &'a dyn Observer,
    state: Mutex<State>,
    changed: Condvar,
    /// The number of bytes of layers sent.
    moved: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// Open connections by number.
    open: HashMap<u64, Connection>,
    /// The sizes of the layers that were sent completely.
    sent: HashMap<Digest, u64>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// Since when it has been waiting for a request.
    waiting: Option<Instant>,
}

impl<'a> Server<'a> {
    /// Starts to listen; connections wait until [`Self::run`] is called.
    pub fn bind(
        address: SocketAddr,
        repository: &'a Repository<'a>,
        observer: &'a dyn Observer,
    ) -> Result<Self, ServeError> {
        let listening = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let (state, changed) = (Mutex::default(), Condvar::new());
        let moved = AtomicU64::new(0);
        Ok(Self { listener, address, repository, observer, state, changed, moved })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until [`Self::stop`] is called.
    pub fn run(&self) {
        std::thread::scope(|scope| {
            for number in 0.. {
                if !self.wait_for_room() {
                    return;
                }
                match self.listener.accept() {
                    Ok((stream, _)) => {
                        let Ok(handle) = stream.try_clone() else { continue };
                        let mut state = self.lock();
                        if state.stopped {
                            return;
                        }
                        state.open.insert(number, Connection { stream: handle, waiting: None });
                        drop(state);
                        let open = Open { server: self, number };
                        let serve = move || {
                            let _open = open;
                            connection::serve(self, number, &stream);
                        };
                        // If no thread can be started, the connection is closed.
                        let _ = threads::spawn(scope, serve);
                    }
                    // The client has closed the connection again.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(_) => std::thread::sleep(PAUSE),
                }
            }
        });
    }

    /// Closes all connections and makes [`Self::run`] end.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        for Connection { stream, .. } in state.open.values() {
            // It may be closed already.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        drop(state);
        self.changed.notify_all();
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }

    /// The layers that were requested and sent completely, out of those of all images.
    pub fn sent(&self) -> Transfer {
        let state = self.lock();
        Transfer {
            layers_sent: state.sent.len(),
            bytes_sent: state.sent.values().sum(),
            ..self.repository.nothing_sent()
        }
    }

    /// How many bytes of layers have been sent, including those of incomplete layers.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn note_moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        self.observer.bytes(bytes);
    }

    fn note_waiting(&self, number: u64, waiting: bool) {
        if let Some(connection) = self.lock().open.get_mut(&number) {
            connection.waiting = waiting.then(Instant::now);
        }
    }

    fn note_sent(&self, digest: Digest, size: u64) {
        self.lock().sent.insert(digest, size);
    }

    /// Waits until there is room for another connection; `false` if the server was stopped.
    fn wait_for_room(&self) -> bool {
        let mut state = self.lock();
        while state.open.len() >= MAX_CONNECTIONS && !state.stopped {
            state.close_idle();
            self.changed.wait_for(&mut state, PAUSE);
        }
        !state.stopped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Closes the connection that has been waiting for a request for the longest time, if that is
    /// long enough, as others wait for its place.
    fn close_idle(&self) {
        let waiting = self.open.values().filter_map(|open| Some((open.waiting?, &open.stream)));
        if let Some((since, stream)) = waiting.min_by_key(|(since, _)| *since)
            && since.elapsed() > IDLE_TIME
        {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Makes room for another connection when one ends.
struct Open<'a> {
    server: &'a Server<'a>,
    number: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.server.lock().open.remove(&self.number);
        self.server.changed.notify_all();
    }
}
