//! Whether something is worth remembering.

use rusqlite::params;
use tracing::Span;

use super::{Memory, MemoryError};
use crate::Role;
use crate::status::failed;

/// What is shorter says nothing by itself, in bytes.
const BYTES_MIN: usize = 12;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Admission {
    /// It is remembered, with this importance, 0..=1.
    Admitted(f64),
    /// It is too short.
    TooShort,
    /// The session has said the same before.
    Known,
}

impl Admission {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted(_) => "admitted",
            Self::TooShort => "too short",
            Self::Known => "known",
        }
    }
}

impl Memory {
    /// Decides whether a message is to be remembered.
    ///
    /// # Errors
    /// Memory could not be read.
    #[tracing::instrument(
        name = "memory.admission",
        skip_all,
        fields(
            session.id = session,
            message.role = role.as_str(),
            message.bytes = content.len(),
            admission.verdict,
            admission.importance,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn admit(
        &self,
        session: &str,
        role: Role,
        content: &str,
    ) -> Result<Admission, MemoryError> {
        let admission = if content.trim().len() < BYTES_MIN {
            Admission::TooShort
        } else if self.is_known(session, content).await.inspect_err(failed)? {
            Admission::Known
        } else {
            Admission::Admitted(importance(role, content))
        };
        let span = Span::current();
        span.record("admission.verdict", admission.as_str());
        if let Admission::Admitted(importance) = admission {
            span.record("admission.importance", importance);
        }
        Ok(admission)
    }

    async fn is_known(&self, session: &str, content: &str) -> Result<bool, MemoryError> {
        let (session, content) = (session.to_owned(), content.to_owned());
        self.sqlite("SELECT", "memories", move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT 1 FROM memories WHERE session = ?1 AND content = ?2 LIMIT 1",
            )?;
            let is_known = statement.exists(params![session, content])?;
            Ok((is_known, usize::from(is_known)))
        })
        .await
    }
}

/// How much a message matters, 0..=1: what somebody wanted to be noted most, what did not work least.
fn importance(role: Role, content: &str) -> f64 {
    let lower = content.to_lowercase();
    if lower.starts_with("note down") {
        1.0
    } else if lower.contains("did not work") || lower.contains("do not know") {
        0.25
    } else if role == Role::Assistant {
        0.6
    } else {
        0.4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_matter_and_failures_hardly() {
        let note = importance(Role::User, "Note down that cache must flush.");
        let answer = importance(Role::Assistant, "Here is what I found: 42");
        let failure = importance(Role::Assistant, "That did not work: no such file");
        assert!(
            note > answer && answer > failure,
            "{note} {answer} {failure}"
        );
    }
}
