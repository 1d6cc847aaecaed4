//! An output that may fail: each line is written whole, or counted as lost.

use std::borrow::Cow;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How long is waited before another try where an output says that it would block: the first time, and at most.
const DELAY_FIRST: Duration = Duration::from_millis(1);
const DELAY_MAX: Duration = Duration::from_millis(50);

pub(super) struct Output {
    out: Box<dyn Write + Send>,
    /// The rest of a line that was written in part. It goes first, so that no other is spoiled.
    begun: Vec<u8>,
}

/// What was not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unwritten {
    pub(super) reason: String,
    /// Lines of which nothing was written.
    pub(super) lines_count: u64,
    /// Whether there is one besides that was written in part.
    pub(super) has_begun: bool,
}

impl Output {
    pub(super) const fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            begun: Vec::new(),
        }
    }

    /// Writes lines, and waits so long at a time while the output would block, as a pipe does that somebody made so and
    /// nobody reads for a moment.
    pub(super) fn put(&mut self, text: &str, patience: Duration) -> Result<(), Unwritten> {
        let mut begun = std::mem::take(&mut self.begun);
        let has_begun = !begun.is_empty();
        let bytes = if has_begun {
            begun.extend_from_slice(text.as_bytes());
            Cow::Owned(begun)
        } else {
            Cow::Borrowed(text.as_bytes())
        };
        let mut written = 0;
        let write = || self.write(&bytes, &mut written, patience);
        let reason = match catch_unwind(AssertUnwindSafe(write)) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            // It may take the next ones.
            Err(_) => "it panicked".to_owned(),
        };
        let (before, rest) = bytes.split_at(written);
        let is_within = match before.last() {
            None => has_begun,
            Some(last) => *last != b'\n' || rest.first() == Some(&b' '),
        };
        let begun_bytes = if is_within { end_of_line(rest, 0) } else { 0 };
        self.begun = rest[..begun_bytes].to_vec();
        Err(Unwritten {
            reason,
            lines_count: lines_count(&rest[begun_bytes..]),
            has_begun: !self.begun.is_empty(),
        })
    }

    fn write(&mut self, bytes: &[u8], written: &mut usize, patience: Duration) -> io::Result<()> {
        while *written < bytes.len() {
            let count = self.insist(patience, |out| out.write(&bytes[*written..]))?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            *written = (*written + count).min(bytes.len());
        }
        self.insist(patience, |out| out.flush())
    }

    /// Tries again where it was interrupted, and for some time where it would block.
    fn insist<T>(
        &mut self,
        patience: Duration,
        mut step: impl FnMut(&mut dyn Write) -> io::Result<T>,
    ) -> io::Result<T> {
        let (mut waited, mut delay) = (Duration::ZERO, DELAY_FIRST);
        loop {
            match step(&mut *self.out) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && waited < patience => {
                    std::thread::sleep(delay);
                    waited += delay;
                    delay = (delay * 2).min(DELAY_MAX);
                }
                outcome => return outcome,
            }
        }
    }
}

/// Where a line ends that begins here, with those that are indented below it.
pub(crate) fn end_of_line(text: &[u8], start: usize) -> usize {
    let mut end = start;
    loop {
        let Some(line_feed) = text[end..].iter().position(|byte| *byte == b'\n') else {
            return text.len();
        };
        end += line_feed + 1;
        if text.get(end) != Some(&b' ') {
            return end;
        }
    }
}

/// Lines, each with those that are indented below it.
pub(crate) fn lines_count(text: &[u8]) -> u64 {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| line.first() != Some(&b' ')).count() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What becomes of the next call of `write`; after the last one everything is taken.
    #[derive(Clone, Copy)]
    enum Next {
        Takes(usize),
        Fails(io::ErrorKind),
        Panics,
    }
    use Next::{Fails, Panics, Takes};

    #[derive(Clone, Default)]
    struct Script {
        next: Arc<Mutex<VecDeque<Next>>>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let next = self.next.lock().unwrap().pop_front();
            let count = match next {
                None => bytes.len(),
                Some(Takes(count)) => count,
                Some(Fails(kind)) => return Err(kind.into()),
                Some(Panics) => panic!("as the script says"),
            };
            self.taken.lock().unwrap().extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Puts texts one after the other; the numbers of lines that were lost each time, whether one was left in part, and
    /// what the output has.
    fn put(script: &[Next], texts: &[&str]) -> (Vec<(u64, bool)>, String) {
        let out = Script::default();
        out.next.lock().unwrap().extend(script);
        let mut output = Output::new(Box::new(out.clone()));
        let put = |text: &&str| match output.put(text, Duration::from_millis(100)) {
            Ok(()) => (0, false),
            Err(unwritten) => (unwritten.lines_count, unwritten.has_begun),
        };
        let lost = texts.iter().map(put).collect();
        let taken = out.taken.lock().unwrap().clone();
        (lost, String::from_utf8(taken).unwrap())
    }

    const FULL: Next = Fails(io::ErrorKind::StorageFull);
    const BLOCKED: Next = Fails(io::ErrorKind::WouldBlock);

    #[test]
    fn an_output_that_would_block_is_asked_again() {
        let interrupted = Fails(io::ErrorKind::Interrupted);
        let script = [Takes(2), BLOCKED, interrupted, BLOCKED, Takes(3), BLOCKED];
        let (lost, taken) = put(&script, &["one\ntwo\n"]);
        assert_eq!((lost, &*taken), (vec![(0, false)], "one\ntwo\n"));
    }

    #[test]
    fn one_that_blocks_for_ever_is_given_up() {
        let script = [BLOCKED; 100];
        let (lost, taken) = put(&script, &["one\ntwo\n"]);
        assert_eq!((lost, &*taken), (vec![(2, false)], ""));
    }

    #[test]
    fn a_line_that_was_written_in_part_is_finished_before_others() {
        // Within the first line; then nothing more of it; then a part of the rest.
        let script = [Takes(2), FULL, FULL, Takes(1), FULL];
        let texts = [
            "one\n  of it\ntwo\n",
            "three\n",
            "four\n  and\nfive\n",
            "six\n",
        ];
        let (lost, taken) = put(&script, &texts);
        assert_eq!(lost, [(1, true), (1, true), (2, true), (0, false)]);
        assert_eq!(taken, "one\n  of it\nsix\n");
        // At the end of a line that has another below it, and at the end of a whole one.
        let script = [Takes(4), FULL, Takes(8), FULL];
        let (lost, taken) = put(&script, &["one\n  of it\ntwo\n", "three\n"]);
        assert_eq!(lost, [(1, true), (1, false)]);
        assert_eq!(taken, "one\n  of it\n");
    }

    #[test]
    fn lines_that_are_lost_are_counted_whatever_the_reason() {
        for reason in [FULL, Takes(0), Panics] {
            let (lost, taken) = put(&[Takes(4), reason], &["one\ntwo\nthree\n", "four\n"]);
            assert_eq!(lost, [(2, false), (0, false)]);
            assert_eq!(taken, "one\nfour\n");
        }
    }
}
