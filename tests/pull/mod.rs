//! `nix-image pull`, `prefetch` and `lock`, with skopeo as the oracle.

mod hostile;
mod images;
mod nix;
mod output;
mod retries;
mod skopeo;
