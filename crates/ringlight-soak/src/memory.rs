//! Whether the process grows.

use std::fmt;

/// Rounds after which everything has been used once.
const WARM_UP_ROUNDS: u32 = 3;
/// How much more than after those may be resident after any other, in MiB: the differences between
/// plans, and what an allocator keeps, are a few; what leaks grows past it.
const GROWTH_MAX: u64 = 128;

/// Readings between rounds, when no pipeline runs.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    rounds: u32,
    /// The most after one of the first rounds, in MiB.
    warm: u64,
    /// The most after any round.
    most: u64,
}

impl Memory {
    /// What is resident, in MiB.
    ///
    /// # Errors
    /// It is far more than it was at first.
    pub(crate) fn look(&mut self) -> Result<u64, String> {
        let now = resident_mib().unwrap_or(0);
        self.rounds += 1;
        self.most = self.most.max(now);
        if self.rounds <= WARM_UP_ROUNDS {
            self.warm = self.warm.max(now);
        } else if now > self.warm + GROWTH_MAX {
            return Err(format!(
                "{now} MiB are resident, {} were after the first rounds",
                self.warm
            ));
        }
        Ok(now)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} MiB resident between rounds", self.most)
    }
}

/// `VmRSS` of Linux; `None` elsewhere.
fn resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}
