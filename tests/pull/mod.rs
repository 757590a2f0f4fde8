//! `nix-image pull`, `prefetch` and `lock`, with skopeo as the oracle.

mod hostile;
mod images;
mod output;
mod retries;
mod skopeo;
