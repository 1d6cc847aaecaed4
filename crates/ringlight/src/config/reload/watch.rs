//! Looks whether the file has changed, or SIGHUP says to read it.
//!
//! By what the system says of the file, every second, on a thread of its own: the collector's must not wait for a file
//! system that hangs, nor for the lock under which `tracing` asks all callsites again, which it shares with the
//! application. A look takes some microseconds.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use ringlight_collector::{Notice, Notices};

use super::{Hangup, ReloadError, Reloader};

/// How long a change goes unseen at most, twice.
const INTERVAL: Duration = Duration::from_secs(1);

/// The thread that looks; it ends when this is dropped.
pub(crate) struct Watch {
    _stop: Sender<()>,
}

impl Watch {
    /// Looks from now on whether the file, if there is one, has changed, unless that is not wanted, and whether it is
    /// to be read because of SIGHUP. That the system has no thread to give is told: everything else works without.
    pub(crate) fn start(
        reloader: Option<Arc<Reloader>>,
        looks_at_file: bool,
        hangup: Option<Hangup>,
        notices: Notices,
    ) -> Option<Self> {
        let (stop, stopped) = channel();
        let watched = reloader.as_ref().filter(|_| looks_at_file);
        let mut watcher = watched.map(|reloader| Watcher::new(Arc::clone(reloader)));
        if watcher.is_none() && hangup.is_none() {
            return None;
        }
        let tell = move |message| notices.send(&Notice::Settings { message });
        let tell_of_thread = tell.clone();
        let looks = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
                if hangup.as_ref().is_some_and(Hangup::take) {
                    tell(reread(reloader.as_deref()));
                }
                if let Some(said) = watcher.as_mut().and_then(Watcher::look) {
                    tell(said);
                }
            }
        };
        let thread = std::thread::Builder::new().name("ringlight-config".to_owned());
        match thread.spawn(looks) {
            Ok(_) => Some(Self { _stop: stop }),
            Err(error) => {
                tell_of_thread(format!(
                    "the file of settings will not be read again: {error}"
                ));
                None
            }
        }
    }
}

/// Reads the file because somebody says so, who is told what came of it in any case.
fn reread(reloader: Option<&Reloader>) -> String {
    let reloaded = match reloader {
        Some(reloader) => reloader.reload().map_err(ReloadError::from),
        None => Err(ReloadError::NoFile),
    };
    match reloaded {
        Ok(reloaded) => reloaded.to_string(),
        Err(error) => format!("settings stay as they are: {error}"),
    }
}

/// What tells one state of a file from another: also another file that has taken its place, be it that its name or
/// that of a directory above leads elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signature {
    modified: Option<SystemTime>,
    bytes: u64,
    identity: (u64, u64),
}

impl Signature {
    /// That of a file; `None` if it is not there.
    fn of(path: &Path) -> Option<Self> {
        let about = std::fs::metadata(path).ok()?;
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt as _;
            (about.dev(), about.ino())
        };
        #[cfg(not(unix))]
        let identity = (0, 0);
        Some(Self {
            modified: about.modified().ok(),
            bytes: about.len(),
            identity,
        })
    }
}

/// What was seen so far.
pub(super) struct Watcher {
    reloader: Arc<Reloader>,
    /// The file as it was when it was last read, if it was there.
    read: Option<Option<Signature>>,
    /// Since the last look it is like this.
    seen: Option<Option<Signature>>,
}

impl Watcher {
    pub(super) fn new(reloader: Arc<Reloader>) -> Self {
        Self {
            // It may have changed since it was read at the start: the first look reads it.
            read: None,
            seen: Some(Signature::of(reloader.path())),
            reloader,
        }
    }

    /// Reads the file if it has changed, and has not since the last look: whoever writes it may not be done. What there
    /// is to say to a person.
    pub(super) fn look(&mut self) -> Option<String> {
        let now = Signature::of(self.reloader.path());
        if self.read == Some(now) {
            self.seen = None;
            return None;
        }
        if self.seen.replace(now) != Some(now) {
            return None;
        }
        // Whoever called for it may have read it meanwhile; then nothing has changed.
        let before = self.reloader.wrong();
        self.read = Some(now);
        match self.reloader.reload() {
            Ok(reloaded) if !reloaded.is_nothing() => Some(reloaded.to_string()),
            Ok(reloaded) => before.map(|_| {
                let path = reloaded.path.display();
                format!("settings in {path} can be used again, and are what they were")
            }),
            // What is wrong has been told.
            Err(error) if before.as_ref() == Some(&error) => None,
            Err(error) => Some(format!("settings stay as they are: {error}")),
        }
    }
}
