//! A client for one namespace of a containerd.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use prost::Message;

use crate::connection::{Connection, Metadata, Method};
use crate::error::Error;
use crate::messages::VersionResponse;
use crate::status::shown;

/// A client for one namespace of the containerd at a socket.
///
/// Clones share the connection. A client may be used from several threads, but not from within a
/// tokio runtime. A broken connection stays broken: connect again.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) connection: Arc<Connection>,
    pub(crate) metadata: Metadata,
}

/// The version that a containerd reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// For example `1.6.20~ds1` or `v2.1.4`.
    pub version: String,
    /// The revision of its sources; empty if it reports none.
    pub revision: String,
}

impl Client {
    /// Connects to the containerd at a socket. The namespace need not exist yet.
    ///
    /// A call may take as long as `timeout`; one that writes content may stall for that long.
    /// Whether it is containerd that listens on the socket is only known after the first call.
    ///
    /// # Errors
    ///
    /// If nothing listens on the socket, or this user may not connect to it.
    pub fn connect(socket: &Path, namespace: &str, timeout: Duration) -> Result<Self, Error> {
        let namespace = header("namespace", namespace)?;
        let connection = Arc::new(Connection::open(socket, timeout)?);
        Ok(Self { connection, metadata: Metadata { namespace, lease: None } })
    }

    /// Asks for the daemon's version, which also shows whether it answers at all.
    pub fn version(&self) -> Result<Version, Error> {
        const VERSION: Method = Method {
            path: "/containerd.services.version.v1.Version/Version",
            action: "report its version",
        };
        let found: VersionResponse = self.call(&VERSION, "", &())?;
        Ok(Version { version: shown(&found.version), revision: shown(&found.revision) })
    }

    /// Makes a call with one message and one answer.
    pub(crate) fn call<A: Message + Default>(
        &self,
        method: &Method,
        object: &str,
        message: &impl Message,
    ) -> Result<A, Error> {
        self.connection.call((method, object), &self.metadata, message)
    }
}

/// A name as the value of a header.
pub(crate) fn header(what: &'static str, name: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(name).ok().filter(|_| !name.is_empty());
    value.ok_or_else(|| Error::InvalidName { what, name: shown(name) })
}
