//! The parts of containerd's messages that are used here. Fields that are not listed are skipped on
//! receipt.
//!
//! The field numbers are those of `api/services/*/v1/*.proto` and `api/types/*.proto`, which are
//! the same in containerd 1.6 and 2.x.

use prost::Message;

use crate::Labels;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionResponse {
    #[prost(string, tag = "1")]
    pub(crate) version: String,
    #[prost(string, tag = "2")]
    pub(crate) revision: String,
}

/// google.protobuf.FieldMask: the fields of a message to update.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FieldMask {
    #[prost(string, repeated, tag = "1")]
    pub(crate) paths: Vec<String>,
}

// introspection/v1

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListPlugins {
    /// Plugins that match any of these are listed.
    #[prost(string, repeated, tag = "1")]
    pub(crate) filters: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListedPlugins {
    #[prost(message, repeated, tag = "1")]
    pub(crate) plugins: Vec<Plugin>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Plugin {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) exports: Labels,
    /// Why it could not be started. Only its presence matters.
    #[prost(message, optional, tag = "7")]
    pub(crate) error: Option<()>,
}

// leases/v1

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreateLease {
    /// If empty, containerd chooses a random ID.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub(crate) labels: Labels,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CreatedLease {
    #[prost(message, optional, tag = "1")]
    pub(crate) lease: Option<LeaseInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LeaseInfo {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeleteLease {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// Whether to wait for a garbage collection before answering.
    #[prost(bool, tag = "2")]
    pub(crate) sync: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AddResource {
    #[prost(string, tag = "1")]
    pub(crate) lease: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) resource: Option<Resource>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resource {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// `content`, or `snapshots/` followed by the snapshotter.
    #[prost(string, tag = "2")]
    pub(crate) kind: String,
}

// snapshots/v1

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PrepareSnapshot {
    #[prost(string, tag = "1")]
    pub(crate) snapshotter: String,
    #[prost(string, tag = "2")]
    pub(crate) key: String,
    #[prost(string, tag = "3")]
    pub(crate) parent: String,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) labels: Labels,
}

/// The answer to Prepare and Mounts.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotMounts {
    #[prost(message, repeated, tag = "1")]
    pub(crate) mounts: Vec<SnapshotMount>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotMount {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) options: Vec<String>,
}

/// The request of Mounts, Remove and Stat.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotKey {
    #[prost(string, tag = "1")]
    pub(crate) snapshotter: String,
    #[prost(string, tag = "2")]
    pub(crate) key: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CommitSnapshot {
    #[prost(string, tag = "1")]
    pub(crate) snapshotter: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) key: String,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) labels: Labels,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotStat {
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<SnapshotInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotInfo {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) parent: String,
    /// 1 is a view, 2 active, 3 committed.
    #[prost(int32, tag = "3")]
    pub(crate) kind: i32,
    #[prost(btree_map = "string, string", tag = "6")]
    pub(crate) labels: Labels,
}

// content/v1

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContentDigest {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContentInfoResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<ContentInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContentInfo {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(int64, tag = "2")]
    pub(crate) size: i64,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) labels: Labels,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct UpdateContent {
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<ContentInfo>,
    #[prost(message, optional, tag = "2")]
    pub(crate) update_mask: Option<FieldMask>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContentData {
    #[prost(int64, tag = "1")]
    pub(crate) offset: i64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: bytes::Bytes,
}

/// `WriteAction` of content/v1.
pub(crate) mod action {
    pub(crate) const STAT: i32 = 0;
    pub(crate) const WRITE: i32 = 1;
    pub(crate) const COMMIT: i32 = 2;
}

/// A message that writes content, without its data (field 6).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteContent {
    #[prost(int32, tag = "1")]
    pub(crate) action: i32,
    #[prost(string, tag = "2")]
    pub(crate) reference: String,
    #[prost(int64, tag = "3")]
    pub(crate) total: i64,
    #[prost(string, tag = "4")]
    pub(crate) expected: String,
    #[prost(int64, tag = "5")]
    pub(crate) offset: i64,
    #[prost(btree_map = "string, string", tag = "7")]
    pub(crate) labels: Labels,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WrittenContent {
    #[prost(int32, tag = "1")]
    pub(crate) action: i32,
    /// The number of bytes written so far.
    #[prost(int64, tag = "4")]
    pub(crate) offset: i64,
    #[prost(string, tag = "6")]
    pub(crate) digest: String,
}

// images/v1

/// The request of Get and Delete.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ImageName {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

/// The request of Create, and the answer to Get.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OneImage {
    #[prost(message, optional, tag = "1")]
    pub(crate) image: Option<ImageInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct UpdateImage {
    #[prost(message, optional, tag = "1")]
    pub(crate) image: Option<ImageInfo>,
    #[prost(message, optional, tag = "2")]
    pub(crate) update_mask: Option<FieldMask>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ImageInfo {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(crate) labels: Labels,
    #[prost(message, optional, tag = "3")]
    pub(crate) target: Option<TargetDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TargetDescriptor {
    #[prost(string, tag = "1")]
    pub(crate) media_type: String,
    #[prost(string, tag = "2")]
    pub(crate) digest: String,
    #[prost(int64, tag = "3")]
    pub(crate) size: i64,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) annotations: Labels,
}
