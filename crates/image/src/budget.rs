//! Memory budgets shared by several users.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of bytes that are left.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

/// A part of a budget, returned on drop.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of this many bytes.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }
}

impl Share {
    /// An empty share.
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// The bytes in this share.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes this many more bytes if they are left; returns whether they were.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        let taken = self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    /// Returns everything above this many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let back = self.bytes.saturating_sub(bytes);
        self.budget.0.fetch_add(back, Ordering::Relaxed);
        self.bytes -= back;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_comes_back() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (Share::new(&budget), Share::new(&budget));
        assert!(one.grow(6) && !other.grow(5) && other.grow(4) && !one.grow(1));
        one.shrink_to(5);
        assert!(other.grow(1) && !other.grow(1));
        assert_eq!((one.bytes(), other.bytes()), (5, 5));
        drop((one, other));
        assert!(Share::new(&budget).grow(10));
    }
}
