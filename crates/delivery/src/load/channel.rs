//! A connection to dockerd. All waits on it have a time limit.

use std::fs::File;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sockopt};

use super::{LoadError, command};
use formats::peer_text;

/// How long a connection may take to be accepted.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long to wait for the docker command to report why a connection ended.
const COMPLAINING: Duration = Duration::from_secs(1);

/// Two non-blocking ends, so that each wait can have a limit.
#[derive(Debug)]
pub(super) struct Channel {
    input: OwnedFd,
    output: OwnedFd,
    /// The docker command that the connection goes through, and what it writes to standard error.
    child: Option<(Child, Receiver<Vec<u8>>)>,
}

impl Channel {
    pub(super) fn unix(path: &Path) -> io::Result<Self> {
        // The standard library would wait forever if the queue for connections is full.
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(CONNECTING))?;
        match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
            Err(Errno::AGAIN) => {
                let waited = CONNECTING.as_secs();
                return Err(io::Error::other(format!(
                    "no connection was accepted within {waited} s"
                )));
            }
            connected => connected?,
        }
        Self::of_socket(UnixStream::from(socket).into())
    }

    pub(super) fn tcp(location: &str) -> io::Result<Self> {
        let mut failure = io::Error::other("the host name has no address");
        for address in location.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECTING) {
                Ok(stream) => {
                    // This only affects speed.
                    let _ = stream.set_nodelay(true);
                    return Self::of_socket(stream.into());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Connects through the docker command, which handles keys, certificates and ssh.
    pub(super) fn through_command(host: &str) -> Result<Self, LoadError> {
        if command::find("docker").is_none() {
            return Err(LoadError::NoDockerCommand { host: host.to_owned() });
        }
        let starting = |source| LoadError::Start { program: "docker".into(), source };
        let mut child = Command::new("docker")
            .args(["system", "dial-stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(starting)?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(output), Some(input), Some(complaints)) = streams else {
            return Err(starting(io::Error::other("it has no standard streams")));
        };
        let tunnel = Some((child, gather(complaints)));
        Self::new(input.into(), output.into(), tunnel).map_err(starting)
    }

    fn of_socket(socket: OwnedFd) -> io::Result<Self> {
        Self::new(socket.try_clone()?, socket, None)
    }

    fn new(
        input: OwnedFd,
        output: OwnedFd,
        child: Option<(Child, Receiver<Vec<u8>>)>,
    ) -> io::Result<Self> {
        // Only for this program; the command has the other ends of its pipes.
        for end in [&input, &output] {
            rustix::fs::fcntl_setfl(end, rustix::fs::fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { input, output, child })
    }

    pub(super) fn input(&self) -> io::Result<Input> {
        Ok(Input { file: self.input.try_clone()?.into(), limit: CONNECTING })
    }

    pub(super) fn output(&self) -> io::Result<OwnedFd> {
        self.output.try_clone()
    }

    /// What the docker command reported, once the connection has ended.
    pub(super) fn complaint(&self) -> Option<String> {
        let (_, complaints) = self.child.as_ref()?;
        let deadline = Instant::now() + COMPLAINING;
        let mut said = Vec::new();
        while let Ok(part) = complaints.recv_timeout(deadline - Instant::now().min(deadline)) {
            said.extend(part);
        }
        let said = peer_text::start(&String::from_utf8_lossy(&said), command::MAX_COMPLAINT);
        (!said.is_empty()).then_some(said)
    }
}

/// Reads a program's standard error, so that the program never blocks on it. Its end is not waited
/// for, as processes that the program started may keep it open forever.
fn gather(mut stderr: ChildStderr) -> Receiver<Vec<u8>> {
    let (sender, complaints) = mpsc::channel();
    let take = move || {
        let (mut part, mut taken) = ([0; 512], 0);
        while let Ok(count @ 1..) = stderr.read(&mut part) {
            taken += count;
            if taken <= command::MAX_COMPLAINT && sender.send(part[..count].to_vec()).is_err() {
                return;
            }
        }
    };
    // Without the thread, error messages are just less detailed.
    let _ = std::thread::Builder::new().spawn(take);
    complaints
}

impl Drop for Channel {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.child {
            // It would wait for more input.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The receiving end of a channel.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    /// How long to wait for data.
    pub(super) limit: Duration,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = Timespec::try_from(self.limit).ok();
        loop {
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], limit.as_ref()) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}
