//! Which processes run where.

use anyhow::Result;
use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cores {
    /// Wherever the system puts it.
    Any,
    /// On the first core of those there are.
    First,
    /// On the others; on the first where there are none.
    Others,
}

impl Cores {
    /// Keeps the calling thread there, and those that it starts from now on.
    pub fn keep(self) -> Result<()> {
        if self == Self::Any {
            return Ok(());
        }
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let first = cores.next();
        let others: Vec<usize> = cores.collect();
        let mut kept = CpuSet::new();
        match self {
            Self::Others if !others.is_empty() => others.iter().for_each(|core| kept.set(*core)),
            _ => first.iter().for_each(|core| kept.set(*core)),
        }
        Ok(sched_setaffinity(None, &kept)?)
    }
}
