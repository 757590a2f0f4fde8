//! Listings that are made again, for all threads that need them at the same time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::listing::Listing;
use super::walk::{WalkError, scan};

/// Makes a tree's listing once for however many use it, and keeps it as long as they do.
#[derive(Debug, Default)]
pub struct SharedListings(Mutex<HashMap<PathBuf, Arc<Slot>>>);

type Slot = Mutex<Weak<Listing>>;

impl SharedListings {
    /// The listing of the tree at `root`. While it is made, others wait for it.
    pub fn get(&self, root: &Path) -> Result<Arc<Listing>, WalkError> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(slots.entry(root.to_owned()).or_default());
        drop(slots);
        let mut shared = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = shared.upgrade() {
            return Ok(listing);
        }
        let listing = Arc::new(scan(root)?.listing);
        *shared = Arc::downgrade(&listing);
        Ok(listing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_lives_as_long_as_its_users() {
        let root = tempfile::tempdir().unwrap();
        let listings = SharedListings::default();
        let first = listings.get(root.path()).unwrap();
        std::fs::write(root.path().join("new"), "").unwrap();
        let second = listings.get(root.path()).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        assert_eq!(listings.get(root.path()).unwrap().entries().count(), 2);
    }
}
