//! SIGHUP as a word to read the file again, for who asks for that.
//!
//! The handler raises a flag and does nothing else; the thread that looks at the file looks at the flag as well.

#[cfg(unix)]
pub(crate) use unix::Hangup;

#[cfg(unix)]
mod unix {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use signal_hook::SigId;
    use signal_hook::consts::SIGHUP;

    /// Takes note of SIGHUP until it is dropped. Afterwards the signal does what other handlers of the process do, or else
    /// nothing: it does not end the process again.
    #[derive(Debug)]
    pub(crate) struct Hangup {
        /// Raised by the handler, taken down by the thread that reads the file. Relaxed: nothing else is handed over.
        is_asked: Arc<AtomicBool>,
        handler: SigId,
    }

    impl Hangup {
        /// From now on, or why not.
        pub(crate) fn listen() -> Result<Self, String> {
            if is_ignored() {
                return Err(
                    "the process was started with SIGHUP ignored, as `nohup` does, and it stays so"
                        .to_owned(),
                );
            }
            let is_asked = Arc::default();
            let handler = signal_hook::flag::register(SIGHUP, Arc::clone(&is_asked))
                .map_err(|error| error.to_string())?;
            Ok(Self { is_asked, handler })
        }

        /// Whether the signal came since the last call.
        pub(crate) fn take(&self) -> bool {
            self.is_asked.swap(false, Ordering::Relaxed)
        }
    }

    impl Drop for Hangup {
        fn drop(&mut self) {
            signal_hook::low_level::unregister(self.handler);
        }
    }

    /// Whether nobody is to hear of the signal. Linux tells; elsewhere, no.
    fn is_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
    }
}

/// There is no such signal.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Hangup(std::convert::Infallible);

#[cfg(not(unix))]
impl Hangup {
    pub(crate) fn listen() -> Result<Self, String> {
        Err("this system has no such signal".to_owned())
    }

    pub(crate) fn take(&self) -> bool {
        match self.0 {}
    }
}
