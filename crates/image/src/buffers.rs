//! Reuses buffers, as the kernel has to clear fresh memory.

use parking_lot::Mutex;

/// A pool of buffers of one capacity: as many as were ever in use at the same time.
#[derive(Debug)]
pub struct Buffers {
    capacity: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Buffers with room for this many bytes.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, free: Mutex::default() }
    }

    /// Takes an empty buffer, reusing one if possible.
    pub fn take(&self) -> Vec<u8> {
        let free = self.free.lock().pop();
        free.unwrap_or_else(|| Vec::with_capacity(self.capacity))
    }

    /// Returns a buffer to the pool. A smaller one, such as the empty placeholder for a buffer that
    /// was moved out, is dropped; it would otherwise grow into an additional buffer.
    pub fn put(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() >= self.capacity {
            buffer.clear();
            self.free.lock().push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_buffers_with_room_come_back() {
        let buffers = Buffers::new(100);
        let mut used = buffers.take();
        used.extend_from_slice(b"used");
        let location = used.as_ptr();
        buffers.put(used);
        buffers.put(Vec::new());
        buffers.put(Vec::with_capacity(99));
        let again = buffers.take();
        assert!(again.is_empty() && again.as_ptr() == location);
        assert!(buffers.free.lock().is_empty());
        assert!(buffers.take().capacity() >= 100);
    }
}
