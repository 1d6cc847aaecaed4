//! Which services rows are of, how many of each, and from when.

use hashbrown::HashMap;

use crate::codec::{Corrupt, Reader, put_bytes, put_varint};
use crate::table::Owners;

/// A service among rows of one signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceRows {
    pub(crate) name: Box<str>,
    pub(crate) rows: u64,
    /// Range of what rows are sorted by.
    pub(crate) time_min: u64,
    pub(crate) time_max: u64,
}

impl ServiceRows {
    /// The services of rows, sorted by name. Each row has a place in the owners' resources and a
    /// time.
    pub(crate) fn of(owners: &Owners, resources: &[u32], times: &[u64]) -> Vec<Self> {
        let mut of_resources = vec![None; owners.resources().len()];
        for (&resource, &time) in resources.iter().zip(times) {
            if let Some(known) = of_resources.get_mut(resource as usize) {
                *known = Some(joined(*known, (1, time, time)));
            }
        }
        // Instances of a service are resources of their own.
        let mut services: HashMap<&str, Known, foldhash::fast::RandomState> = HashMap::default();
        for (resource, known) in owners.resources().iter().zip(of_resources) {
            let Some(known) = known else { continue };
            let name = resource.service_name();
            let all = joined(services.get(name).copied(), known);
            services.insert(name, all);
        }
        let mut services: Vec<Self> = services
            .into_iter()
            .map(|(name, (rows, time_min, time_max))| Self {
                name: name.into(),
                rows,
                time_min,
                time_max,
            })
            .collect();
        services.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        services
    }

    /// Writes it as part of a block whose earliest time is `block_min`.
    pub(super) fn write(&self, block_min: u64, out: &mut Vec<u8>) {
        put_bytes(out, self.name.as_bytes());
        put_varint(out, self.rows);
        put_varint(out, self.time_min - block_min);
        put_varint(out, self.time_max - self.time_min);
    }

    /// Reads what [`write`](Self::write) wrote. Where the times are left out they are the block's.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        block: (u64, u64),
        has_times: bool,
    ) -> Result<Self, Corrupt> {
        let (name, rows) = (reader.text()?.into(), reader.varint()?);
        let (time_min, time_max) = if has_times {
            let sum = |a: u64, b: u64| {
                a.checked_add(b)
                    .ok_or(Corrupt("time of a service is out of range"))
            };
            let time_min = sum(block.0, reader.varint()?)?;
            (time_min, sum(time_min, reader.varint()?)?)
        } else {
            block
        };
        Ok(Self {
            name,
            rows,
            time_min,
            time_max,
        })
    }
}

/// Rows, earliest and latest time.
type Known = (u64, u64, u64);

fn joined(known: Option<Known>, more: Known) -> Known {
    known.map_or(more, |known| {
        (known.0 + more.0, known.1.min(more.1), known.2.max(more.2))
    })
}
