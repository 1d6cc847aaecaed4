//! What is wrong with a query, and where.

use std::fmt;

/// The text is not a query.
///
/// `offset` and `length` count characters (Unicode scalar values), which is what people count;
/// `byte_offset` and `byte_length` are the same place in the UTF-8 text. Both lie within the text;
/// a query that ends too early points just behind its last character, with a length of zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct QueryError {
    /// Characters before the place.
    pub offset: usize,
    /// Characters the place covers.
    pub length: usize,
    /// Bytes before the place.
    pub byte_offset: usize,
    /// Bytes the place covers.
    pub byte_length: usize,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What could stand there instead, ready to be shown; empty where nothing could.
    pub expected: Vec<String>,
}

impl QueryError {
    pub(super) fn new(text: &str, start: usize, end: usize, message: impl Into<String>) -> Self {
        let chars = |from: usize, to: usize| {
            text.get(from..to)
                .map_or(0, |between| between.chars().count())
        };
        Self {
            offset: chars(0, start),
            length: chars(start, end),
            byte_offset: start,
            byte_length: end.saturating_sub(start),
            message: message.into(),
            expected: Vec::new(),
        }
    }

    pub(super) fn expecting<T: Into<String>>(
        mut self,
        expected: impl IntoIterator<Item = T>,
    ) -> Self {
        self.expected = expected.into_iter().map(Into::into).collect();
        self
    }

    /// What could stand there instead, as one phrase: "`)` or `&&`". `None` where nothing could.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let (last, others) = self.expected.split_last()?;
        Some(if others.is_empty() {
            last.clone()
        } else {
            format!("{} or {last}", others.join(", "))
        })
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.offset + 1, self.message)?;
        match self.hint() {
            Some(hint) => write!(f, "; expected {hint}"),
            None => Ok(()),
        }
    }
}
