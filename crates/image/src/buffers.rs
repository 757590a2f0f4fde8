//! Buffers that are filled again and again, as fresh memory has to be cleared by the kernel.

use parking_lot::Mutex;

/// Buffers of one capacity: as many as were ever in use at the same time.
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

    /// An empty buffer, one that was used before if there is any.
    pub fn take(&self) -> Vec<u8> {
        let free = self.free.lock().pop();
        free.unwrap_or_else(|| Vec::with_capacity(self.capacity))
    }

    /// Gives a buffer back. One without the room, such as the empty one that stands in for a buffer
    /// that was taken away, is dropped: kept, it would be one more buffer as soon as it was used.
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
