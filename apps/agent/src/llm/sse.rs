//! Server-sent events, as a model's stream of tokens comes.

/// The longest event kept, in bytes; a longer one is no event of a model.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// An event that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream has more than {EVENT_BYTES_MAX} bytes")]
pub(super) struct TooLong;

/// Puts events together from pieces that break anywhere, within a line or a character too.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    /// The line that has begun, at most [`EVENT_BYTES_MAX`] bytes.
    line: Vec<u8>,
    /// The data of the event that has begun, its lines joined; at most [`EVENT_BYTES_MAX`] bytes.
    data: Option<String>,
    /// Whether the last line ended in a carriage return, whose line feed may be the next byte.
    after_return: bool,
}

impl SseParser {
    /// Takes the next piece and returns the data of the events that end in it.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in piece {
            let follows_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()?),
                _ if self.line.len() == EVENT_BYTES_MAX => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// An empty line ends an event; of the fields of the others, only `data` matters to a model's
    /// stream, and a line that begins with a colon is a comment.
    fn end_line(&mut self) -> Result<Option<String>, TooLong> {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.is_empty() {
            return Ok(self.data.take());
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) if data.len() + value.len() >= EVENT_BYTES_MAX => return Err(TooLong),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stream: &str, expected: &[&str]) {
        let bytes = stream.as_bytes();
        // However it is cut, the same events come out.
        for size in 1..=bytes.len() {
            let mut parser = SseParser::default();
            let events: Vec<String> = bytes
                .chunks(size)
                .flat_map(|piece| parser.push(piece).unwrap())
                .collect();
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn events_are_put_together_from_pieces() {
        check("data: one\n\ndata: two\n\n", &["one", "two"]);
        check("data: a\r\ndata: b\r\n\r\n", &["a\nb"]);
        check("data:x\rdata: \r\r", &["x\n"]);
        check(": a comment\nevent: token\nid: 7\ndata: é\n\n\n", &["é"]);
        check("data\n\n", &[""]);
        check("data: unfinished\n", &[]);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = SseParser::default();
        let line = format!("data: {}", "x".repeat(EVENT_BYTES_MAX));
        assert_eq!(parser.push(line.as_bytes()), Err(TooLong));
        let mut parser = SseParser::default();
        let lines = format!("data: {}\n", "x".repeat(1_000)).repeat(70);
        assert_eq!(parser.push(lines.as_bytes()), Err(TooLong));
    }
}
