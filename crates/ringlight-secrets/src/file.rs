//! Secrets in files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::{SECRET_BYTES_MAX, Secret, SecretError, SecretErrorKind, SecretSource};

/// A changed file is noticed within this time. To read a small one costs no more than to ask whether it
/// changed.
pub(crate) const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// A secret in a file, such as container platforms mount them.
///
/// Ends of lines at its end do not count. A file that anybody may *write* (mode `o+w`) is refused, since then
/// anybody decides what is sent. That others may read it is not remarked upon: container platforms
/// mount secrets with modes 0444 and 0644, and keep others out by the folder or the container; where there
/// is neither, make it 0600.
///
/// The file is read again every five seconds. Replace it whole, by renaming a new one over it: what is half written
/// is refused or, at worst, used for five seconds.
#[derive(Debug, Clone)]
pub struct FileSecret {
    path: PathBuf,
    name: String,
    blocking: Blocking,
}

impl FileSecret {
    /// The secret in this file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            name: format!("file `{}`", path.display()),
            path,
            blocking: Blocking::default(),
        }
    }

    /// Looks whether the file can be read now. Blocks. What is no file, such as a pipe, is not looked into: that would
    /// take what is in it.
    ///
    /// # Errors
    /// It cannot be read, or anybody may write it.
    pub fn probe(&self) -> Result<(), SecretError> {
        let found = std::fs::metadata(&self.path);
        if found.is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Ok(());
        }
        read(&self.path, &self.name).map(drop)
    }
}

impl SecretSource for FileSecret {
    async fn fetch(&self) -> Result<Secret, SecretError> {
        let (path, name) = (self.path.clone(), self.name.clone());
        let read = move || text(&read(&path, &name)?, &name);
        Ok(self.blocking.run(&self.name, read).await?.into())
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn refresh_interval(&self) -> Duration {
        REFRESH_INTERVAL
    }
}

/// What blocks is done on a thread for that, one thing after the other: a file that hangs takes one thread, and whoever
/// comes meanwhile waits without any, or gives up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocking(Arc<Mutex<()>>);

impl Blocking {
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, SecretError> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.unwrap_or_else(|_| {
            let reason = "reading it was broken off";
            Err(SecretError::new(SecretErrorKind::Unavailable, name, reason))
        })
    }
}

/// The file's content, which is checked for who may write it.
pub(crate) fn read(path: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |error: io::Error| {
        let (kind, hint) = match error.kind() {
            io::ErrorKind::NotFound => (
                SecretErrorKind::Missing,
                Some("create it, or name another one"),
            ),
            io::ErrorKind::PermissionDenied => (
                SecretErrorKind::Refused,
                Some("let the user that the program runs as read it"),
            ),
            io::ErrorKind::IsADirectory => (
                SecretErrorKind::Invalid,
                Some("name a file, such as one in it"),
            ),
            _ => (SecretErrorKind::Unavailable, None),
        };
        let reason = format!("cannot be read: {error}");
        let failed = SecretError::new(kind, name, reason).with_cause(error);
        match hint {
            Some(hint) => failed.with_hint(hint),
            None => failed,
        }
    };
    let file = File::open(path).map_err(failed)?;
    if is_written_by_anybody(&file).map_err(failed)? {
        let reason = "anybody may write it";
        return Err(SecretError::new(SecretErrorKind::Refused, name, reason)
            .with_hint("take that away: `chmod o-w`"));
    }
    // Room for all of it, so that it is never moved and a copy left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
    file.take(SECRET_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(too_large(name));
    }
    Ok(bytes)
}

pub(crate) fn too_large(name: &str) -> SecretError {
    let reason = format!("has more than {SECRET_BYTES_MAX} bytes");
    SecretError::new(SecretErrorKind::Invalid, name, reason)
}

/// Bytes as a secret text, without ends of lines at its end.
pub(crate) fn text(bytes: &[u8], name: &str) -> Result<SecretString, SecretError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| SecretError::new(SecretErrorKind::Invalid, name, "is not UTF-8"))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.trim().is_empty() {
        return Err(SecretError::new(SecretErrorKind::Missing, name, "is empty"));
    }
    Ok(SecretString::from(text))
}

#[cfg(unix)]
fn is_written_by_anybody(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.mode() & 0o002 != 0)
}

#[cfg(not(unix))]
fn is_written_by_anybody(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    async fn check(content: &[u8], expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        let secret = FileSecret::new(&path).fetch().await;
        match (secret, expected) {
            (Ok(secret), Ok(expected)) => assert_eq!(secret.value.expose_secret(), expected),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[tokio::test]
    async fn ends_of_lines_at_the_end_do_not_count() {
        check(b"abc", Ok("abc")).await;
        check(b"abc\n", Ok("abc")).await;
        check(b"abc\r\n\n", Ok("abc")).await;
        check(b" a\nb \n", Ok(" a\nb ")).await;
    }

    #[tokio::test]
    async fn what_is_no_secret_is_refused() {
        check(b"", Err("is empty")).await;
        check(b" \n", Err("is empty")).await;
        check(b"hunter2\xff", Err("is not UTF-8")).await;
        check(&[b'x'; SECRET_BYTES_MAX], Ok(&"x".repeat(SECRET_BYTES_MAX))).await;
        check(&[b'x'; SECRET_BYTES_MAX + 1], Err("more than 131072 bytes")).await;
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = FileSecret::new(folder.path().join("no"))
            .fetch()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), SecretErrorKind::Missing);
        let probed = FileSecret::new(folder.path().join("no")).probe();
        assert_eq!(probed.unwrap_err().kind(), SecretErrorKind::Missing);
        std::fs::write(folder.path().join("yes"), "a=b").unwrap();
        FileSecret::new(folder.path().join("yes")).probe().unwrap();
        let folder = FileSecret::new(folder.path()).fetch().await.unwrap_err();
        assert_eq!(folder.kind(), SecretErrorKind::Invalid);
        assert_eq!(folder.hint(), Some("name a file, such as one in it"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_anybody_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "abc").unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o606);
        let error = FileSecret::new(&path).fetch().await.unwrap_err();
        assert_eq!(error.kind(), SecretErrorKind::Refused);
        mode(0o644);
        assert!(FileSecret::new(&path).fetch().await.is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_hangs_takes_one_thread() {
        use std::task::Poll;
        const THREADS: usize = 2;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(THREADS)
            .build()
            .unwrap();
        let done = runtime.block_on(async {
            let secret = FileSecret::new(&path);
            for _ in 0..=THREADS {
                let mut fetch = Box::pin(secret.fetch());
                let polled = std::future::poll_fn(|context| {
                    Poll::Ready(fetch.as_mut().poll(context).is_pending())
                });
                assert!(polled.await, "nobody writes into it");
            }
            let other = tokio::task::spawn_blocking(|| ());
            tokio::time::timeout(Duration::from_secs(20), other).await
        });
        // Whoever reads it is not waited for.
        runtime.shutdown_background();
        assert!(done.is_ok(), "no thread is left");
    }
}
