//! On this system, engines run in a virtual machine, where layers cannot be placed from outside.

use std::time::Duration;

use super::preview::Held;
use super::{Delivery, Import, Kind, LoadError, Loaded};
use image::cache::Cache;

/// Never constructed: on this system, layers cannot be placed in an engine.
#[derive(Debug)]
pub(super) enum UnpackedLayers {}

impl UnpackedLayers {
    #[expect(clippy::unnecessary_wraps, reason = "on Linux an engine may not answer")]
    pub(super) fn find(
        _kind: Kind,
        _timeout: Duration,
        _cache: &Cache,
    ) -> Result<Result<Self, String>, LoadError> {
        Ok(Err("on this system engines run in a virtual machine".into()))
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
