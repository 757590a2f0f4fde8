//! Engines of this system have their layers in a virtual machine, where they cannot be put from
//! here.

use std::time::Duration;

use super::preview::Held;
use super::{Delivery, Import, Kind, LoadError, Loaded};
use image::cache::Cache;

/// Nowhere.
#[derive(Debug)]
pub(super) enum UnpackedLayers {}

impl UnpackedLayers {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere an engine may not answer")]
    pub(super) fn find(
        _kind: Kind,
        _timeout: Duration,
        _cache: &Cache,
    ) -> Result<Result<Self, String>, LoadError> {
        Ok(Err("engines have their layers in a virtual machine here".into()))
    }

    pub(super) fn want_tar_splits(&self) -> bool {
        match *self {}
    }

    pub(super) fn put(
        self,
        _delivery: &Delivery<'_>,
        _import: Import,
    ) -> Result<Loaded, LoadError> {
        match self {}
    }

    pub(super) fn preview(
        self,
        _delivery: &Delivery<'_>,
        _import: Import,
    ) -> Result<Held, LoadError> {
        match self {}
    }
}
