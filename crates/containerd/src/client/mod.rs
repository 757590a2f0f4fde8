//! A client of one namespace of a containerd.

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

/// A client of one namespace of the containerd at a socket.
///
/// Clones share the connection. It may be used by several threads, but not from within a runtime
/// of tokio's. A connection that broke stays broken: connect again.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) connection: Arc<Connection>,
    pub(crate) metadata: Metadata,
}

/// What a containerd says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Such as `1.6.20~ds1` or `v2.1.4`.
    pub version: String,
    /// The revision of its sources, if it says any.
    pub revision: String,
}

impl Client {
    /// Connects to the containerd at a socket, for a namespace, which need not exist yet.
    ///
    /// A call may take as long as `timeout`; one that writes content may stand still for that
    /// long. Whether it is containerd that listens there shows with the first call.
    ///
    /// # Errors
    ///
    /// If nothing listens there, or this user may not connect.
    pub fn connect(socket: &Path, namespace: &str, timeout: Duration) -> Result<Self, Error> {
        let namespace = header("namespace", namespace)?;
        let connection = Arc::new(Connection::open(socket, timeout)?);
        Ok(Self { connection, metadata: Metadata { namespace, lease: None } })
    }

    /// Asks for the daemon's version, and by that whether it answers at all.
    pub fn version(&self) -> Result<Version, Error> {
        const VERSION: Method = Method {
            path: "/containerd.services.version.v1.Version/Version",
            action: "tell its version",
        };
        let found: VersionResponse = self.call(&VERSION, "", &())?;
        Ok(Version { version: shown(&found.version), revision: shown(&found.revision) })
    }

    /// Makes a call of one message and one answer.
    pub(crate) fn call<A: Message + Default>(
        &self,
        method: &Method,
        object: &str,
        message: &impl Message,
    ) -> Result<A, Error> {
        self.connection.call((method, object), &self.metadata, message)
    }
}

/// A name that is sent in a header.
pub(crate) fn header(what: &'static str, name: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(name).ok().filter(|_| !name.is_empty());
    value.ok_or_else(|| Error::InvalidName { what, name: shown(name) })
}
