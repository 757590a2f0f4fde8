//! Trees of layers: what is linked, reflinked and copied where, and that they are what the engines
//! make.

mod engines;
mod export;
mod file_systems;
mod hostile;
mod layer;
mod writing;
