//! Leases, which protect unfinished work from garbage collection.

use std::ops::Deref;
use std::time::Duration;

use jiff::Timestamp;

use crate::Labels;
use crate::client::{Client, header};
use crate::connection::{Method, unexpected};
use crate::error::Error;
use crate::messages::{AddResource, CreateLease, CreatedLease, DeleteLease, Resource};
use formats::digest::Digest;

/// The label with the time, as of RFC 3339, at which a lease expires.
const EXPIRE: &str = "containerd.io/gc.expire";

const CREATE: Method =
    Method { path: "/containerd.services.leases.v1.Leases/Create", action: "create a lease" };
const DELETE: Method =
    Method { path: "/containerd.services.leases.v1.Leases/Delete", action: "end the lease" };
const ADD_RESOURCE: Method =
    Method { path: "/containerd.services.leases.v1.Leases/AddResource", action: "keep" };

/// A lease, and a client that makes its calls under it: what they create is kept until the lease
/// ends, even if no image refers to it yet. Dropping it ends it.
#[derive(Debug)]
pub struct Lease {
    client: Client,
    id: String,
    is_ended: bool,
}

impl Client {
    /// Creates a lease. It expires after `expires_in`, in case this program is killed.
    pub fn lease(&self, expires_in: Duration) -> Result<Lease, Error> {
        let expires = Timestamp::now().saturating_add(expires_in).unwrap_or(Timestamp::MAX);
        let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let labels = Labels::from([(EXPIRE.to_owned(), expires)]);
        let created: CreatedLease =
            self.call(&CREATE, "", &CreateLease { id: String::new(), labels })?;
        let id = created.lease.unwrap_or_default().id;
        let mut client = self.clone();
        let sent = header("lease", &id);
        client.metadata.lease =
            Some(sent.map_err(|_| unexpected((&CREATE, ""), "a lease ID", "none that is valid"))?);
        Ok(Lease { client, id, is_ended: false })
    }
}

impl Lease {
    /// The lease's ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Keeps a snapshot that may already exist. Check whether it does only after this call.
    pub fn keep_snapshot(&self, snapshotter: &str, name: &str) -> Result<(), Error> {
        self.keep(name, format!("snapshots/{snapshotter}"))
    }

    /// Keeps a blob that may already exist. Check whether it does only after this call.
    pub fn keep_content(&self, digest: &Digest) -> Result<(), Error> {
        self.keep(&digest.to_string(), "content".into())
    }

    fn keep(&self, id: &str, kind: String) -> Result<(), Error> {
        let resource = Some(Resource { id: id.to_owned(), kind });
        self.call(&ADD_RESOURCE, id, &AddResource { lease: self.id.clone(), resource })
    }

    /// Ends the lease. What was created under it and is not referred to is garbage-collected some
    /// time later.
    pub fn end(mut self) -> Result<(), Error> {
        self.delete()
    }

    fn delete(&mut self) -> Result<(), Error> {
        self.is_ended = true;
        let delete = DeleteLease { id: self.id.clone(), sync: false };
        match self.call(&DELETE, &self.id, &delete) {
            // It has expired.
            Err(error) if error.is_not_found() => Ok(()),
            ended => ended,
        }
    }
}

impl Deref for Lease {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.is_ended {
            // If this fails, the lease still expires.
            let _ = self.delete();
        }
    }
}
