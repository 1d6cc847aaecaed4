//! What all conversations are told at once.

use std::collections::BTreeSet;

use ringlight::channel::broadcast::Receiver;
use ringlight::channel::broadcast::error::TryRecvError;

use crate::{Message, Role};

/// What a session may be behind; of one that rests for longer the oldest are lost.
pub(crate) const UNHEARD_MAX: usize = 4;

/// What is not any more as it was in the turns before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum News {
    /// The skills.
    Skills,
    /// The settings, and with them the tools of the MCP server.
    Settings,
}

impl News {
    const ALL: [Self; 2] = [Self::Skills, Self::Settings];

    /// What the model is told of it.
    const fn note(self) -> &'static str {
        match self {
            Self::Skills => "There are other skills than before.",
            Self::Settings => "Settings have changed, and tools may have.",
        }
    }
}

/// Notes for the model about what has changed since this was called last, one of each kind.
pub(super) fn notes(news: &mut Receiver<News>) -> Vec<Message> {
    let mut changed = BTreeSet::new();
    loop {
        match news.try_recv() {
            Ok(kind) => {
                changed.insert(kind);
            }
            // Any of them may be among what is lost.
            Err(TryRecvError::Lagged(_)) => changed.extend(News::ALL),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    let notes = changed.into_iter().map(News::note);
    notes
        .map(|note| Message::text(Role::System, note))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_each_change_once_and_all_where_some_are_lost() {
        let (sender, mut one) = ringlight::channel::broadcast::channel(UNHEARD_MAX);
        let mut other = sender.subscribe();
        let texts = |news: &mut Receiver<News>| -> Vec<String> {
            let notes = notes(news).into_iter();
            notes.filter_map(|note| note.content).collect()
        };
        assert!(texts(&mut one).is_empty());
        sender.send(News::Skills).unwrap();
        sender.send(News::Skills).unwrap();
        assert_eq!(texts(&mut one), [News::Skills.note()]);
        for _ in 0..UNHEARD_MAX {
            sender.send(News::Skills).unwrap();
        }
        assert_eq!(texts(&mut one), [News::Skills.note()]);
        assert_eq!(texts(&mut other), News::ALL.map(News::note));
        assert!(texts(&mut other).is_empty());
        drop(sender);
        assert!(texts(&mut one).is_empty());
    }
}
