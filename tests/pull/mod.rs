//! `nix-image pull`, `prefetch` and `lock`, compared with skopeo.

mod hostile;
mod images;
mod nix;
mod output;
mod retries;
mod skopeo;
