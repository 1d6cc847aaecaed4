//! Looking through many sources at once.

use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::source::{Loader, Source};
use crate::table::Table;
use crate::{Cancel, SearchError};

/// Threads of one search. More would take from requests and from other searches what they give to
/// this one.
const THREADS_MAX: usize = 2;

fn threads() -> usize {
    // Asking reads files of the system, which takes longer than looking through a block.
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let available = thread::available_parallelism().map_or(1, NonZero::get);
        available.min(THREADS_MAX)
    })
}

/// Shows every source to `add`, each once, on up to [`THREADS_MAX`] threads, and gives what each of
/// them collected. What was read is counted by `loader`.
pub(super) fn fold<T: Table, A: Default + Send>(
    loader: &mut Loader<'_, T>,
    sources: &[Source<T>],
    cancel: &Cancel,
    add: impl Fn(&mut A, &mut Loader<'_, T>, &Source<T>) + Sync,
) -> Result<Vec<A>, SearchError> {
    // Relaxed: it only hands out numbers.
    let next = AtomicUsize::new(0);
    let work = |loader: &mut Loader<'_, T>| {
        let mut collected = A::default();
        while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
            cancel.check()?;
            add(&mut collected, loader, source);
        }
        Ok(collected)
    };
    if sources.len() < 2 {
        return Ok(vec![work(loader)?]);
    }
    let (shared, keys) = (loader.shared, loader.keys.clone());
    thread::scope(|scope| {
        let help = || {
            let mut loader = Loader::new(shared, 0);
            loader.keys = keys.clone();
            let collected = work(&mut loader);
            (collected, loader)
        };
        // Without a thread for it, this one does all of the work.
        let helpers: Vec<_> = (1..threads())
            .filter_map(|_| {
                let builder = thread::Builder::new().name("ringlight-search".to_owned());
                builder.spawn_scoped(scope, help).ok()
            })
            .collect();
        let mut parts = vec![work(loader)];
        for helper in helpers {
            match helper.join() {
                Ok((collected, helper)) => {
                    loader.account(helper);
                    parts.push(collected);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts.into_iter().collect()
    })
}
