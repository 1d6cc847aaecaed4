//! How skills prove themselves.

use std::collections::HashMap;
use std::sync::PoisonError;

use rusqlite::params;
use tracing::Span;

use super::Skills;
use super::matching::WEIGHT_FIRST;
use crate::MemoryError;
use crate::status::failed;

/// How much the latest turn counts, 0..=1.
const LEARNING_RATE: f64 = 0.2;

impl Skills {
    /// Takes in how a turn with the skill `name` ended: its weight moves towards one or zero.
    ///
    /// # Errors
    /// The weight could not be stored.
    #[tracing::instrument(
        name = "skill.evolution",
        skip_all,
        fields(
            skill.name = name,
            skill.succeeded = has_succeeded,
            skill.weight_before,
            skill.weight,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn evolve(&self, name: &str, has_succeeded: bool) -> Result<(), MemoryError> {
        let (before, weight) = {
            let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
            let weight = loaded
                .weights
                .entry(name.to_owned())
                .or_insert(WEIGHT_FIRST);
            let before = *weight;
            *weight = moved(before, has_succeeded);
            (before, *weight)
        };
        let span = Span::current();
        span.record("skill.weight_before", before);
        span.record("skill.weight", weight);
        let name = name.to_owned();
        self.memory
            .sqlite("INSERT", "skills", move |connection| {
                let rows = connection.execute(
                    "INSERT OR REPLACE INTO skills (name, weight) VALUES (?1, ?2)",
                    params![name, weight],
                )?;
                Ok(((), rows))
            })
            .await
            .inspect_err(failed)
    }

    /// The weights of the skills that have proved themselves in any way.
    pub(super) async fn weights(&self) -> Result<HashMap<String, f64>, MemoryError> {
        self.memory
            .sqlite("SELECT", "skills", |connection| {
                let mut statement = connection.prepare_cached("SELECT name, weight FROM skills")?;
                let weights = statement
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<Result<HashMap<_, _>, _>>()?;
                let rows = weights.len();
                Ok((weights, rows))
            })
            .await
    }
}

fn moved(weight: f64, has_succeeded: bool) -> f64 {
    let aim = if has_succeeded { 1.0 } else { 0.0 };
    weight + LEARNING_RATE * (aim - weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_moves_towards_what_happens_and_stays_between_zero_and_one() {
        assert!((moved(0.5, true) - 0.6).abs() < 1e-9);
        assert!((moved(0.5, false) - 0.4).abs() < 1e-9);
        let many = |has_succeeded| (0..99).fold(0.5, |weight, _| moved(weight, has_succeeded));
        assert!(many(true) > 0.99 && many(true) <= 1.0);
        assert!(many(false) < 0.01 && many(false) >= 0.0);
    }
}
