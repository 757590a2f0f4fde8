//! `nix-image build-image layer`.

use std::path::PathBuf;

use image::one_layer::{self, Owner};

/// Pack a root into a layer
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The directory to pack, or a tar file of one, whose owners are kept
    root: PathBuf,
    /// The directory to write layer.tar, json and VERSION to
    out: PathBuf,
    /// JSON file of the image's architecture, config and date
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// User ID that owns the files of a directory
    #[arg(long, value_name = "ID", default_value_t)]
    uid: u32,
    /// Group ID that owns the files of a directory
    #[arg(long, value_name = "ID", default_value_t)]
    gid: u32,
    /// Modification time of the files, in seconds since 1970
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    mtime: i64,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.root.is_file() {
            return Ok(one_layer::pack_tar(&self.root, &self.config, self.mtime, &self.out)?);
        }
        // tar records the names that these IDs have on the machine that packs the layer.
        let user = uzers::get_user_by_uid(self.uid).map(|user| user.name().to_owned());
        let group = uzers::get_group_by_gid(self.gid).map(|group| group.name().to_owned());
        let bytes = |name: Option<std::ffi::OsString>| {
            name.map(std::os::unix::ffi::OsStringExt::into_vec).unwrap_or_default()
        };
        let owner = Owner {
            uid: self.uid,
            gid: self.gid,
            uname: bytes(user),
            gname: bytes(group),
            mtime: self.mtime,
        };
        Ok(one_layer::pack(&self.root, &self.config, &owner, &self.out)?)
    }
}
