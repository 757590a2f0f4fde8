//! A connection to dockerd. Every wait on it has a time limit.

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

/// How long it may take until somebody takes the connection.
const CONNECTING: Duration = Duration::from_secs(10);
/// And how long the docker command may take to say why there is none.
const COMPLAINING: Duration = Duration::from_secs(1);

/// Two ends that do not block, so that each wait has its limit.
#[derive(Debug)]
pub(super) struct Channel {
    input: OwnedFd,
    output: OwnedFd,
    /// The docker command that it leads through, and what that says on standard error.
    child: Option<(Child, Receiver<Vec<u8>>)>,
}

impl Channel {
    pub(super) fn unix(path: &Path) -> io::Result<Self> {
        // The standard library waits for ever where too many wait to be accepted already.
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(CONNECTING))?;
        match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
            Err(Errno::AGAIN) => {
                let waited = CONNECTING.as_secs();
                return Err(io::Error::other(format!("it takes no connection for {waited} s")));
            }
            connected => connected?,
        }
        Self::of_socket(UnixStream::from(socket).into())
    }

    pub(super) fn tcp(location: &str) -> io::Result<Self> {
        let mut failure = io::Error::other("the name has no address");
        for address in location.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECTING) {
                Ok(stream) => {
                    // Speed alone depends on it.
                    let _ = stream.set_nodelay(true);
                    return Self::of_socket(stream.into());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The docker command knows keys, certificates and ssh, and lends its connection.
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
        // Ours alone; the command has the other ends of its pipes.
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

    /// What the docker command said, once the connection has ended.
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

/// Takes what a program says, so that it never waits for a reader. What it has started may hold
/// its standard error open for ever, so its end is not waited for.
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
    // Without the thread there is only less to say.
    let _ = std::thread::Builder::new().spawn(take);
    complaints
}

impl Drop for Channel {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.child {
            // It would wait for more.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What comes in.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    /// How long nothing may come.
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
