//! Where images go.

mod destination;
mod docker_archive;
mod new_file;
mod oci_archive;
mod oci_layout;
mod output;
mod staging;

pub use destination::Destination;
pub use docker_archive::{write as write_docker_archive, write_without as write_missing_layers};
pub use new_file::{NewFile, sync_directory};
pub use oci_archive::write as write_oci_archive;
pub use oci_layout::{Added, Layout, LayoutIsFile, Written};
pub use output::{Output, is_closed};
