//! Trees of layers: what is linked, reflinked and copied where, and that they equal those of the
//! engines.

mod engines;
mod export;
mod file_systems;
mod hostile;
mod layer;
mod writing;
