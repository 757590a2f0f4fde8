//! Where images go.

mod docker_archive;
mod output;

pub use docker_archive::write as write_docker_archive;
pub use output::{Output, is_closed};
