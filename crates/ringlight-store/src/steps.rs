//! Steps of sealing, told as they are reached to the one test that kills a process in the midst of
//! them. Outside of tests nobody listens, and nothing is left of this.

/// A step of sealing a block that was just reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The columns of a block are made, its filters are not.
    Encoding,
    /// The block is made and nothing of it written.
    Encoded,
    /// The transaction that writes the block has begun.
    Begun,
    /// The block is written; the requests it replaces are still in the intake.
    Written,
    /// These requests are deleted; nothing of it is committed.
    Cleared,
    /// The transaction is committed; searches still see the requests.
    Committed,
    /// Searches see the block.
    Shown,
}

#[cfg(test)]
pub(crate) static LISTENER: std::sync::OnceLock<Box<dyn Fn(Step) + Send + Sync>> =
    std::sync::OnceLock::new();

#[cfg(test)]
pub(crate) fn reached(step: Step) {
    if let Some(listener) = LISTENER.get() {
        listener(step);
    }
}

#[cfg(not(test))]
pub(crate) const fn reached(_step: Step) {}
