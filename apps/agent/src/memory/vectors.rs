//! Vectors of what was embedded, searched by their nearness.

use rusqlite::params;
use tracing::Span;

use super::{Memory, MemoryError};
use crate::status::failed;

/// What the vectors are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collection {
    /// Messages, by their ids.
    Memories,
    /// Skills, by hashes of their names.
    Skills,
}

impl Collection {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Memories => "memories",
            Self::Skills => "skills",
        }
    }
}

impl Memory {
    /// Stores vectors, each in place of the one its key had.
    ///
    /// # Errors
    /// They could not be stored.
    #[tracing::instrument(
        name = "memory.vector_store",
        skip_all,
        fields(
            vector.operation = "upsert",
            vector.collection = collection.as_str(),
            vector.count = vectors.len(),
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn upsert_vectors(
        &self,
        collection: Collection,
        vectors: Vec<(i64, Vec<f32>)>,
    ) -> Result<(), MemoryError> {
        self.sqlite("INSERT", "vectors", move |connection| {
            let transaction = connection.transaction()?;
            for (key, vector) in &vectors {
                transaction.execute(
                    "INSERT OR REPLACE INTO vectors (collection, key, embedding)
                     VALUES (?1, ?2, ?3)",
                    params![collection.as_str(), key, bytes_of(vector)],
                )?;
            }
            transaction.commit()?;
            Ok(((), vectors.len()))
        })
        .await
        .inspect_err(failed)
    }

    /// The keys of the vectors nearest to `vector` with their similarity, -1..=1, the nearest first.
    ///
    /// # Errors
    /// They could not be read.
    #[tracing::instrument(
        name = "memory.vector_store",
        skip_all,
        fields(
            vector.operation = "search",
            vector.collection = collection.as_str(),
            vector.count,
            vector.compared,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn nearest_vectors(
        &self,
        collection: Collection,
        vector: &[f32],
        limit: usize,
    ) -> Result<Vec<(i64, f32)>, MemoryError> {
        let vector = vector.to_vec();
        let all = self
            .sqlite("SELECT", "vectors", move |connection| {
                let mut statement = connection
                    .prepare_cached("SELECT key, embedding FROM vectors WHERE collection = ?1")?;
                let mut near = Vec::new();
                let mut rows = statement.query([collection.as_str()])?;
                while let Some(row) = rows.next()? {
                    let stored = vector_of(row.get_ref(1)?.as_blob()?);
                    near.push((row.get(0)?, similarity(&vector, &stored)));
                }
                let rows = near.len();
                Ok((near, rows))
            })
            .await
            .inspect_err(failed)?;
        let span = Span::current();
        span.record("vector.compared", all.len());
        let near = nearest(all, limit);
        span.record("vector.count", near.len());
        Ok(near)
    }

    /// Removes all vectors but those with the keys in `kept`, and returns how many these were.
    ///
    /// # Errors
    /// They could not be removed.
    #[tracing::instrument(
        name = "memory.vector_store",
        skip_all,
        fields(
            vector.operation = "retain",
            vector.collection = collection.as_str(),
            vector.count,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn retain_vectors(
        &self,
        collection: Collection,
        kept: Vec<i64>,
    ) -> Result<usize, MemoryError> {
        let removed = self
            .sqlite("DELETE", "vectors", move |connection| {
                let transaction = connection.transaction()?;
                let keys = transaction
                    .prepare_cached("SELECT key FROM vectors WHERE collection = ?1")?
                    .query_map([collection.as_str()], |row| row.get(0))?
                    .collect::<Result<Vec<i64>, _>>()?;
                let mut removed = 0;
                for key in keys.iter().filter(|key| !kept.contains(key)) {
                    removed += transaction.execute(
                        "DELETE FROM vectors WHERE collection = ?1 AND key = ?2",
                        params![collection.as_str(), key],
                    )?;
                }
                transaction.commit()?;
                Ok((removed, removed))
            })
            .await
            .inspect_err(failed)?;
        Span::current().record("vector.count", removed);
        Ok(removed)
    }
}

/// The cosine of the angle between two vectors; 0 if one has no length, or they differ in dimension.
pub(super) fn similarity(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if a.len() != b.len() || lengths == 0.0 {
        return 0.0;
    }
    dot(a, b) / lengths
}

/// The `limit` most similar of all, the most similar first; of equals the one with the higher key,
/// which is the newer one.
fn nearest(mut all: Vec<(i64, f32)>, limit: usize) -> Vec<(i64, f32)> {
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    all.truncate(limit);
    all
}

/// A vector as it is stored: 32-bit floats, little-endian.
fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(super) fn vector_of(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|four| f32::from_le_bytes(*four))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarity_is_that_of_directions() {
        assert!((similarity(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-6);
        assert!((similarity(&[1.0, 0.0], &[-3.0, 0.0]) + 1.0).abs() < 1e-6);
        assert_eq!(similarity(&[1.0, 0.0], &[0.0, 5.0]), 0.0);
        assert_eq!(similarity(&[0.0, 0.0], &[0.0, 5.0]), 0.0);
        assert_eq!(similarity(&[1.0], &[1.0, 0.0]), 0.0);
    }

    #[test]
    fn the_nearest_come_first_and_of_equals_the_newer() {
        let all = vec![(1, 0.5), (2, 0.9), (3, 0.5), (4, -1.0)];
        assert_eq!(nearest(all, 3), [(2, 0.9), (3, 0.5), (1, 0.5)]);
    }

    #[test]
    fn a_vector_is_stored_and_read_back() {
        let vector = [0.25, -1.5, f32::MAX];
        assert_eq!(vector_of(&bytes_of(&vector)), vector);
    }
}
