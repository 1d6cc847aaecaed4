//! Forgetting: memories fade, and the faintest go.

use std::time::{Duration, SystemTime};

use tracing::Span;

use super::{Memory, MemoryError, unix_ms};
use crate::status::failed;

/// The time in which a memory that nobody recalls fades to half.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// What is fainter is forgotten.
const STRENGTH_MIN: f64 = 0.1;

/// Memories kept, however strong; the faintest go first.
const MEMORIES_MAX: usize = 500;

/// How strong a memory is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Trace {
    id: i64,
    importance: f64,
    recalled: u32,
    age: Duration,
}

impl Trace {
    /// Importance that halves with each half-life; each recall lengthens that by a half, up to five
    /// times.
    fn strength(&self) -> f64 {
        let half_life = HALF_LIFE.as_secs_f64() * (1.0 + 0.5 * f64::from(self.recalled.min(8)));
        self.importance * 0.5_f64.powf(self.age.as_secs_f64() / half_life)
    }
}

impl Memory {
    /// Forgets what has faded at `now`, and returns how many memories these were.
    ///
    /// # Errors
    /// Memory could not be used.
    #[tracing::instrument(
        name = "memory.forgetting",
        skip_all,
        fields(
            forgetting.considered,
            forgetting.forgotten,
            forgetting.half_life_s = HALF_LIFE.as_secs(),
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn forget(&self, now: SystemTime) -> Result<usize, MemoryError> {
        let now = unix_ms(now);
        let traces = self
            .sqlite("SELECT", "memories", move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT id, importance, recalled, created_unix_ms FROM memories",
                )?;
                let traces = statement
                    .query_map([], |row| {
                        let age = u64::try_from(now - row.get::<_, i64>(3)?).unwrap_or(0);
                        Ok(Trace {
                            id: row.get(0)?,
                            importance: row.get(1)?,
                            recalled: row.get(2)?,
                            age: Duration::from_millis(age),
                        })
                    })?
                    .collect::<Result<Vec<_>, _>>()?;
                let rows = traces.len();
                Ok((traces, rows))
            })
            .await
            .inspect_err(failed)?;
        let span = Span::current();
        span.record("forgetting.considered", traces.len());
        let faded = faded(traces);
        let count = faded.len();
        self.delete_memories(faded).await.inspect_err(failed)?;
        span.record("forgetting.forgotten", count);
        Ok(count)
    }

    /// Deletes memories with their words and vectors.
    pub(super) async fn delete_memories(&self, ids: Vec<i64>) -> Result<(), MemoryError> {
        self.sqlite("DELETE", "memories", move |connection| {
            let transaction = connection.transaction()?;
            for id in &ids {
                transaction.execute("DELETE FROM memories WHERE id = ?1", [id])?;
                transaction.execute("DELETE FROM words WHERE rowid = ?1", [id])?;
                transaction.execute(
                    "DELETE FROM vectors WHERE collection = 'memories' AND key = ?1",
                    [id],
                )?;
            }
            transaction.commit()?;
            Ok(((), ids.len()))
        })
        .await
    }
}

/// What is to be forgotten: what is too faint, and the faintest of what is too much.
fn faded(mut traces: Vec<Trace>) -> Vec<i64> {
    traces.sort_by(|a, b| b.strength().total_cmp(&a.strength()));
    let kept = traces
        .iter()
        .take(MEMORIES_MAX)
        .take_while(|trace| trace.strength() >= STRENGTH_MIN)
        .count();
    traces
        .split_off(kept)
        .iter()
        .map(|trace| trace.id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(id: i64, importance: f64, recalled: u32, age_s: u64) -> Trace {
        Trace {
            id,
            importance,
            recalled,
            age: Duration::from_secs(age_s),
        }
    }

    #[test]
    fn a_memory_halves_with_its_half_life_and_recalls_lengthen_it() {
        assert!((trace(1, 0.8, 0, 60).strength() - 0.4).abs() < 1e-9);
        assert!((trace(1, 0.8, 0, 120).strength() - 0.2).abs() < 1e-9);
        assert!((trace(1, 0.8, 2, 120).strength() - 0.4).abs() < 1e-9);
        assert_eq!(
            trace(1, 0.5, 8, 99).strength(),
            trace(1, 0.5, 80, 99).strength()
        );
    }

    #[test]
    fn the_faint_go_and_of_too_many_the_faintest() {
        let traces = vec![
            trace(1, 1.0, 0, 0),
            trace(2, 0.25, 0, 90),
            trace(3, 1.0, 0, 3_600),
            trace(4, 1.0, 8, 600),
        ];
        assert_eq!(faded(traces), [2, 3]);
        let many =
            (0..MEMORIES_MAX as i64 + 3).map(|id| trace(id, 1.0, 0, 100 - id.min(50) as u64));
        let gone = faded(many.collect());
        assert_eq!(gone.len(), 3);
        assert!(
            gone.contains(&0) && gone.contains(&1) && gone.contains(&2),
            "{gone:?}"
        );
    }
}
