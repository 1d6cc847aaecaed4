//! What is drawn and waits to be written.

use crate::format::{Event, Format};

/// Bytes that wait to be written at most.
pub(super) const BUFFER_BYTES_MAX: usize = 4 << 20;
/// Bytes of a buffer that are kept for what is drawn next.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// Draws events into the buffer.
pub(super) struct Pen {
    pub(super) format: Format,
    pub(super) buffer: Buffer,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) bytes: Vec<u8>,
    /// Names of threads are not among them.
    pub(crate) events: u64,
    /// Events that found no room.
    pub(crate) dropped: u64,
}

impl Pen {
    #[inline]
    pub(super) fn draw(&mut self, event: &Event<'_>) {
        let Buffer {
            bytes,
            events,
            dropped,
        } = &mut self.buffer;
        if bytes.len() >= BUFFER_BYTES_MAX {
            *dropped += 1;
        } else {
            *events += 1;
            self.format.event(bytes, event);
        }
    }

    /// Draws the name of a thread; whether there was room.
    pub(super) fn draw_name(&mut self, thread: u64, name: &str) -> bool {
        let bytes = &mut self.buffer.bytes;
        let has_room = bytes.len() < BUFFER_BYTES_MAX;
        if has_room {
            self.format.event(bytes, &Event::Thread { thread, name });
        }
        has_room
    }
}

impl Buffer {
    /// The same, of which nothing is to be written any more, and the memory.
    pub(crate) fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_BYTES_KEPT);
        Self {
            bytes: self.bytes,
            events: 0,
            dropped: 0,
        }
    }
}
