//! What a sink adds to and others ask of.

use std::fmt;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::sync::unpoisoned;

/// What a [sink](crate::RecordSink) adds to and others ask of, on threads of their own.
///
/// The sink [borrows](Self::borrow) it with the first thing that a pass over the rings shows it, and [gives it
/// back](Self::give_back) at the end of the pass: it takes a lock once a pass, and not once a record. Who
/// [asks](Self::ask) during a pass is answered at its end, by the sink: in a flood the next pass begins at once, and
/// who waited for the thing itself would never get it.
///
/// ```
/// use std::time::Duration;
///
/// use ringlight_collector::Lent;
///
/// let counted = Lent::new(0);
/// // The sink:
/// if let Some(mut count) = counted.borrow() {
///     count += 1;
///     counted.give_back(count);
/// }
/// // Somebody else:
/// assert_eq!(counted.ask(Duration::from_secs(5), |count| *count), Some(1));
/// ```
pub struct Lent<T>(Mutex<State<T>>);

struct State<T> {
    /// Not there while it is borrowed.
    value: Option<T>,
    /// What is asked meanwhile, each with a number of its own.
    asked: Vec<(u64, Ask<T>)>,
    next: u64,
}

type Ask<T> = Box<dyn FnOnce(&mut T) + Send>;

impl<T> Lent<T> {
    /// It is there.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(State {
            value: Some(value),
            asked: Vec::new(),
            next: 0,
        }))
    }

    /// Takes it until it is given back. `None` if it was borrowed already.
    pub fn borrow(&self) -> Option<T> {
        unpoisoned(self.0.lock()).value.take()
    }

    /// Gives it back, and answers those who asked meanwhile.
    pub fn give_back(&self, value: T) {
        let mut state = unpoisoned(self.0.lock());
        let State {
            value: there,
            asked,
            ..
        } = &mut *state;
        // It stays there also if an answer panics; who asked for that one gets none.
        let value = there.insert(value);
        for (_, ask) in asked.drain(..) {
            ask(value);
        }
    }

    /// Calls with it: at once, or, while it is borrowed, where it is given back, which is waited for. `None` if it is not given back
    /// in time, and then it is not called, or if the call panicked there.
    ///
    /// # Panics
    /// If the call panics here.
    pub fn ask<R: Send + 'static>(
        &self,
        patience: Duration,
        call: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Option<R> {
        let mut state = unpoisoned(self.0.lock());
        if let Some(value) = &mut state.value {
            return Some(call(value));
        }
        let (answer, answered) = sync_channel(1);
        let number = state.next;
        state.next += 1;
        let ask: Ask<T> = Box::new(move |value| {
            // There is room for it.
            let _ = answer.send(call(value));
        });
        state.asked.push((number, ask));
        drop(state);
        if let Ok(answer) = answered.recv_timeout(patience) {
            return Some(answer);
        }
        let mut state = unpoisoned(self.0.lock());
        state.asked.retain(|(asked, _)| *asked != number);
        drop(state);
        // It may have come at the last moment.
        answered.try_recv().ok()
    }
}

impl<T> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Asks on threads of their own, each for something else; what comes of it comes out of the channel.
    fn ask_all<R: Send + 'static>(
        lent: &Arc<Lent<u32>>,
        calls: impl IntoIterator<Item = fn(&mut u32) -> R>,
    ) -> std::sync::mpsc::Receiver<Option<R>> {
        let (answer, answers) = channel();
        for (before, call) in calls.into_iter().enumerate() {
            let (lent_to, answer) = (Arc::clone(lent), answer.clone());
            std::thread::spawn(move || answer.send(lent_to.ask(LONG, call)));
            while unpoisoned(lent.0.lock()).asked.len() <= before {
                std::thread::yield_now();
            }
        }
        answers
    }

    #[test]
    fn who_asks_is_answered_though_it_is_borrowed_again_at_once() {
        let lent = Arc::new(Lent::new(1));
        let value = lent.borrow().unwrap();
        assert_eq!(lent.borrow(), None);
        let add: fn(&mut u32) -> u32 = |value| {
            *value += 1;
            *value
        };
        let answers = ask_all(&lent, [add, add]);
        lent.give_back(value + 10);
        assert_eq!(lent.borrow(), Some(13));
        let mut answers = [(); 2].map(|()| answers.recv_timeout(LONG).unwrap());
        answers.sort_unstable();
        assert_eq!(answers, [Some(12), Some(13)]);
    }

    #[test]
    fn who_has_no_patience_left_asks_for_nothing() {
        let lent = Lent::new(1);
        let value = lent.borrow().unwrap();
        assert_eq!(lent.ask(Duration::ZERO, |value| *value += 1), None);
        lent.give_back(value);
        assert_eq!(lent.borrow(), Some(1));
    }

    #[test]
    fn an_answer_that_panics_is_none_and_what_is_asked_of_stays() {
        let lent = Arc::new(Lent::new(1));
        let value = lent.borrow().unwrap();
        let panic: fn(&mut u32) = |_| resume_unwind(Box::new(()));
        let answers = ask_all(&lent, [panic]);
        let given = catch_unwind(AssertUnwindSafe(|| lent.give_back(value)));
        assert!(given.is_err());
        assert_eq!(answers.recv_timeout(LONG).unwrap(), None);
        assert_eq!(lent.ask(LONG, |value| *value), Some(1));
    }
}
