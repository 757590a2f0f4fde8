//! Brings one layer into a repository.

use std::io::{self, Read};
use std::thread;

use super::blob::{BlobStream, Made};
use super::buffered::{Buffered, Memory};
use super::error::{FalseClaim, PushError};
use super::mounts::Mounts;
use super::remote::{Knowledge, RemoteLayer};
use super::roots::Trees;
use super::session::{Counted, PIECE, Session};
use crate::observer::{Observed, Observer};
use formats::digest::{BlobId, Digest};
use image::cache::Cache;
use image::compress::{Pool, Settings};
use image::{Digester, Layer};
use oci::Compression;
use oci::registry::{Repository, Upload, read_parts};

/// The destination of layers, and what is known about it.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) repository: &'a Repository,
    pub(super) mounts: Mounts<'a>,
    pub(super) knowledge: &'a Knowledge,
    pub(super) cache: &'a Cache,
    pub(super) settings: Settings,
    /// The compressions accepted for layers that already exist.
    pub(super) accepted: &'a [Compression],
    /// The threads that compress the layers.
    pub(super) pool: &'a Pool,
    /// The trees that the layers are made of.
    pub(super) trees: &'a Trees,
    /// The memory for holding blobs.
    pub(super) memory: Memory,
    /// Whether this is a preview, which must not change anything in the registry.
    pub(super) is_preview: bool,
    pub(super) observer: &'a dyn Observer,
}

/// A layer that is in the repository.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) diff_id: Digest,
    pub(super) blob: BlobId,
    pub(super) compression: Compression,
    /// The number of bytes sent for it.
    pub(super) sent: u64,
    /// Whether anything was sent for it.
    pub(super) uploaded: bool,
}

impl Target<'_> {
    /// Looks for a layer in the repository by its description in the conf, without reading the
    /// layer itself.
    pub(super) fn find_by_key(
        &self,
        digester: &Digester<'_>,
        layer: usize,
    ) -> Result<Option<Delivered>, PushError> {
        let Some(key) = digester.image().portable_key(layer) else { return Ok(None) };
        if self.trees.were_replaced(self.cache, &key) {
            return Ok(None);
        }
        let claimed = self.knowledge.by_key(&key).map(|known| known.diff_id);
        let remembered = self.cache.get(&key).map(|known| known.digest);
        if claimed.is_some() && remembered.is_some_and(|remembered| claimed != Some(remembered)) {
            // One of them is wrong; the trees tell which.
            self.cache.remove(&key);
            if self.trees.are_here(&key) {
                return Ok(None);
            }
        }
        claimed.or(remembered).map_or(Ok(None), |diff_id| self.find_by_diff_id(layer, diff_id))
    }

    /// Looks for the blob of a layout's layer, which is pushed unchanged. `None` if it is not in
    /// the repository, or if the layer is not from a layout.
    pub(super) fn find_by_blob(
        &self,
        digester: &Digester<'_>,
        layer: usize,
    ) -> Result<Option<Delivered>, PushError> {
        let Some(known) = of_layout(&digester.image().layers()[layer]) else { return Ok(None) };
        let RemoteLayer { diff_id, blob: digest, size, compression, .. } = known;
        if !self.is_there(&known)? {
            return Ok(None);
        }
        self.observer.layer_found(layer);
        let blob = BlobId { digest, size };
        Ok(Some(Delivered { diff_id, blob, compression, sent: 0, uploaded: false }))
    }

    /// Looks for a layer with this diffID in the repository.
    pub(super) fn find_by_diff_id(
        &self,
        layer: usize,
        diff_id: Digest,
    ) -> Result<Option<Delivered>, PushError> {
        for known in self.candidates(diff_id) {
            if self.is_there(&known)? {
                self.observer.layer_found(layer);
                let blob = BlobId { digest: known.blob, size: known.size };
                let compression = known.compression;
                let delivered = Delivered { diff_id, blob, compression, sent: 0, uploaded: false };
                return Ok(Some(delivered));
            }
        }
        Ok(None)
    }

    /// The blobs that contain the layer with this diffID.
    fn candidates(&self, diff_id: Digest) -> Vec<RemoteLayer> {
        let known = self.knowledge.by_diff_id(diff_id).iter();
        let known = known.filter(|known| self.accepted.contains(&known.compression));
        let remembered = self.settings.blob_key(diff_id).and_then(|key| self.cache.get(&key));
        let remembered = remembered.map(|blob| RemoteLayer {
            diff_id,
            blob: blob.digest,
            size: blob.size,
            compression: self.settings.compression,
            repository: None,
        });
        known.cloned().chain(remembered).collect()
    }

    /// Whether a blob is in the repository, or can be brought there without sending it.
    fn is_there(&self, known: &RemoteLayer) -> Result<bool, PushError> {
        if self.repository.exists(known.blob, known.size)? {
            return Ok(true);
        }
        let blob = BlobId { digest: known.blob, size: known.size };
        let from = known.repository.as_deref().filter(|from| *from != self.repository.name());
        if self.is_preview {
            return Ok(from.is_some() || self.mounts.has(blob));
        }
        let mounted = match from {
            Some(from) => self.repository.mount(blob.digest, from)?,
            None => self.mounts.mount(blob),
        };
        // Also checks the size according to the other repository.
        Ok(mounted && self.repository.exists(blob.digest, blob.size)?)
    }

    /// Makes a layer's blob and sends it.
    pub(super) fn make(
        &self,
        digester: &Digester<'_>,
        layer: usize,
    ) -> Result<Delivered, PushError> {
        digester.known_digest(layer)?;
        let (made, sent) = self
            .send_repeatedly(digester, layer)
            .map_err(|error| PushError::Layer { layer, source: error.into() })?;
        let found = made.layer;
        if let Some(base) = digester.image().layers()[layer].as_base() {
            base.check_blob(made.blob.digest).map_err(image::Error::from)?;
        }
        if digester.image().layers()[layer].as_base().is_none() {
            digester.found(layer, found)?;
        }
        self.check(digester, layer, found)?;
        if made.compression == self.settings.compression
            && let Some(key) = self.settings.blob_key(found.digest)
        {
            self.cache.put(&key, &made.blob);
        }
        let Made { blob, compression, .. } = made;
        self.observer.layer_done(layer, &digester.image().layers()[layer], sent);
        Ok(Delivered { diff_id: found.digest, blob, compression, sent, uploaded: sent > 0 })
    }

    /// Checks the diffID that was found for a layer, and caches it for the layer's key.
    pub(super) fn check(
        &self,
        digester: &Digester<'_>,
        layer: usize,
        found: BlobId,
    ) -> Result<(), PushError> {
        let Some(key) = digester.image().portable_key(layer) else { return Ok(()) };
        if let Some(claimed) = self.knowledge.by_key(&key) {
            // The cached digest may be that of a tree that was repaired in place.
            check_claim(layer, claimed.diff_id, found.digest)
                .inspect_err(|_| digester.forget(layer))?;
        }
        self.cache.put(&key, &found);
        self.trees.remember(self.cache, &key);
        Ok(())
    }

    /// Makes a blob and sends it, repeatedly if that may help. If the upload of a large blob
    /// breaks, the blob is made again, as that gives the same bytes, but only those that the
    /// registry lacks are sent again.
    fn send_repeatedly(
        &self,
        digester: &Digester<'_>,
        layer: usize,
    ) -> Result<(Made, u64), PushError> {
        let mut session = Session::default();
        loop {
            match self.send(digester, layer, &mut session) {
                Err(PushError::Registry(error)) => session.after(*error)?,
                done => return done,
            }
        }
    }

    fn send(
        &self,
        digester: &Digester<'_>,
        layer: usize,
        session: &mut Session,
    ) -> Result<(Made, u64), PushError> {
        thread::scope(|scope| {
            let (settings, pool, observer) = (self.settings, self.pool, self.observer);
            let mut blob = BlobStream::start(scope, digester, layer, settings, pool, observer)?;
            let held = Buffered::take(&mut blob, &self.memory);
            if let Some(failure) = blob.failure() {
                return Err(failure);
            }
            let (held, is_whole) = held.map_err(PushError::Making)?;
            if is_whole {
                let made = blob.finish()?;
                let sent = self.send_held(&held.parts(), made.blob, session)?;
                return Ok((made, sent));
            }
            let sent = self.send_large(&mut held.chain(&mut blob), session);
            if let Some(failure) = blob.failure() {
                return Err(failure);
            }
            let upload = sent?;
            let made = blob.finish()?;
            self.repository.close(&upload, &[], made.blob.digest, &mut session.attempts)?;
            Ok((made, made.blob.size))
        })
    }

    /// Sends a blob that is held in memory, unless it exists, and returns how much was sent. It
    /// goes in one request with its length, as registries accept such requests in larger pieces; if
    /// that breaks, it is sent like a large blob.
    fn send_held(
        &self,
        held: &[&[u8]],
        blob: BlobId,
        session: &mut Session,
    ) -> Result<u64, PushError> {
        let attempts = &mut session.attempts;
        if self.repository.exists_within(attempts, blob.digest, blob.size)? {
            return Ok(0);
        }
        if session.upload.is_some() {
            let upload = self.send_large(&mut read_parts(held), session)?;
            self.repository.close(&upload, &[], blob.digest, &mut session.attempts)?;
        } else {
            let upload = session.begin(self.repository)?;
            session.sent = blob.size;
            self.repository.close(&upload, held, blob.digest, &mut session.attempts)?;
            self.observer.bytes(blob.size);
        }
        Ok(blob.size)
    }

    /// Sends a blob while it is made: in one request or, after an upload broke, what the registry
    /// lacks in requests for ranges of bytes.
    fn send_large(&self, blob: &mut impl Read, session: &mut Session) -> Result<Upload, PushError> {
        let Some((mut upload, mut offset)) = session.resume(self.repository)? else {
            let upload = session.begin(self.repository)?;
            let body = Observed { observer: self.observer, reader: blob };
            let mut body = Counted { body, bytes: &mut session.sent };
            return Ok(self.repository.send(&upload, &mut body, &mut session.attempts)?);
        };
        let mut piece = Vec::with_capacity(PIECE as usize);
        io::copy(&mut blob.by_ref().take(offset), &mut io::sink()).map_err(PushError::Making)?;
        loop {
            session.reached(&upload, offset);
            piece.clear();
            blob.by_ref().take(PIECE).read_to_end(&mut piece).map_err(PushError::Making)?;
            if piece.is_empty() {
                return Ok(upload);
            }
            let next = offset + piece.len() as u64;
            session.sent = session.sent.max(next);
            upload = self.repository.append(&upload, offset, &piece, &mut session.attempts)?;
            offset = next;
            self.observer.bytes(piece.len() as u64);
        }
    }
}

/// The compressed blob of a layer from a layout; `None` for other layers.
pub(super) fn of_layout(layer: &Layer) -> Option<RemoteLayer> {
    let base = layer.as_base().filter(|base| base.compression() != Some(Compression::None))?;
    Some(RemoteLayer {
        diff_id: base.diff_id,
        blob: base.blob?,
        size: base.member.size,
        compression: base.compression()?,
        repository: None,
    })
}

/// Fails if a registry's claim about a layer differs from what was found here.
fn check_claim(layer: usize, claimed: Digest, found: Digest) -> Result<(), FalseClaim> {
    if claimed == found {
        return Ok(());
    }
    Err(FalseClaim { number: layer + 1, claimed, found })
}
