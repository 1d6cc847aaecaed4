//! Files that are encrypted with age: by the library, and by the tool itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first thing that is wrong"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use age::secrecy::ExposeSecret as _;
use ringlight_secrets::{AgeFileSecret, SECRET_BYTES_MAX, SecretErrorKind, SecretSource as _};

const SECRET: &str = "authorization=Bearer%20hunter2";

struct Folder {
    folder: tempfile::TempDir,
    identity: age::x25519::Identity,
}

impl Folder {
    /// With a file of identities, whose second one is the one.
    fn new() -> Self {
        let folder = Self {
            folder: tempfile::tempdir().unwrap(),
            identity: age::x25519::Identity::generate(),
        };
        let other = age::x25519::Identity::generate().to_string();
        let identity = folder.identity.to_string();
        let lines = format!(
            "# public key: {}\n{}\n\n{}\n",
            folder.identity.to_public(),
            other.expose_secret(),
            identity.expose_secret()
        );
        folder.write("key.txt", lines.as_bytes());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn source(&self, name: &str) -> AgeFileSecret {
        AgeFileSecret::new(self.path(name), self.path("key.txt"))
    }

    /// Checks that there is no secret, and that nobody learns what it would be.
    async fn refused(&self, source: &AgeFileSecret, kind: SecretErrorKind, expected: &str) {
        let error = source.fetch().await.unwrap_err();
        let cause = std::error::Error::source(&error);
        let shown = format!("{error} {error:?} {cause:?} {source:?}");
        assert_eq!(error.kind(), kind, "{shown}");
        assert!(shown.contains(expected), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("AGE-SECRET-KEY-1Q"), "{shown}");
        let identity = self.identity.to_string();
        assert!(!shown.contains(identity.expose_secret()), "{shown}");
    }
}

fn encrypted(text: &[u8], to: &dyn age::Recipient, armored: bool) -> Vec<u8> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(to)).unwrap();
    let format = if armored {
        age::armor::Format::AsciiArmor
    } else {
        age::armor::Format::Binary
    };
    let armor = age::armor::ArmoredWriter::wrap_output(Vec::new(), format).unwrap();
    let mut writer = encryptor.wrap_output(armor).unwrap();
    writer.write_all(text).unwrap();
    writer.finish().unwrap().finish().unwrap()
}

#[tokio::test]
async fn a_file_is_decrypted_whether_armored_or_not() {
    let folder = Folder::new();
    let recipient = folder.identity.to_public();
    for armored in [false, true] {
        let text = format!("{SECRET}\n");
        folder.write(
            "secret.age",
            &encrypted(text.as_bytes(), &recipient, armored),
        );
        let secret = folder.source("secret.age").fetch().await.unwrap();
        assert_eq!(secret.value.expose_secret(), SECRET);
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn fault_36_what_cannot_be_decrypted_says_why_and_shows_nothing() {
    use SecretErrorKind::{Invalid, Missing, Refused};
    let folder = Folder::new();
    let ours = folder.identity.to_public();
    let write = |bytes: &[u8]| {
        folder.write("secret.age", bytes);
    };
    let source = folder.source("secret.age");

    folder.refused(&source, Missing, "cannot be read").await;
    let theirs = age::x25519::Identity::generate().to_public();
    write(&encrypted(SECRET.as_bytes(), &theirs, false));
    folder.refused(&source, Refused, "age-keygen -y").await;
    write(SECRET.as_bytes());
    folder
        .refused(&source, Invalid, "cannot be decrypted")
        .await;
    let whole = encrypted(SECRET.as_bytes(), &ours, false);
    write(&whole[..whole.len() - 1]);
    folder
        .refused(&source, Invalid, "cannot be decrypted")
        .await;
    let mut changed = whole;
    *changed.last_mut().unwrap() ^= 1;
    write(&changed);
    folder
        .refused(&source, Invalid, "cannot be decrypted")
        .await;
    write(&encrypted(&vec![b'x'; SECRET_BYTES_MAX + 1], &ours, true));
    folder
        .refused(&source, Invalid, "more than 131072 bytes")
        .await;
    let passphrase = age::scrypt::Recipient::new("hunter2".to_owned().into());
    write(&encrypted(SECRET.as_bytes(), &passphrase, false));
    folder.refused(&source, Invalid, "with a passphrase").await;
}

#[tokio::test]
async fn fault_36_identities_that_cannot_be_used_say_why_and_are_not_shown() {
    use SecretErrorKind::{Invalid, Missing};
    let folder = Folder::new();
    let ours = folder.identity.to_public();
    folder.write("secret.age", &encrypted(SECRET.as_bytes(), &ours, false));
    let source = folder.source("secret.age");

    let passphrase = age::scrypt::Recipient::new("hunter2".to_owned().into());
    for armored in [false, true] {
        folder.write("key.txt", &encrypted(b"x", &passphrase, armored));
        folder
            .refused(&source, Invalid, "is itself encrypted")
            .await;
    }
    folder.write("key.txt", b"# nothing\n");
    folder.refused(&source, Invalid, "has no identity").await;
    folder.write("key.txt", b"# a\nAGE-SECRET-KEY-1QHUNTER2\n");
    folder
        .refused(&source, Invalid, "non-identity data on line 2")
        .await;
    std::fs::remove_file(folder.path("key.txt")).unwrap();
    folder.refused(&source, Missing, "key.txt").await;
}

/// Runs a tool of age's, which the tests want.
fn tool(program: &str, arguments: &[&Path]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("`{program}`: {error}; hint: apt-get install age"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
}

#[tokio::test]
async fn what_the_tool_encrypts_is_decrypted() {
    let folder = Folder::new();
    let (key, plain, secret) = (
        folder.path("tool.txt"),
        folder.path("plain"),
        folder.path("secret.age"),
    );
    tool("age-keygen", &[Path::new("-o"), &key]);
    std::fs::write(&plain, SECRET).unwrap();
    for armor in [None, Some(Path::new("--armor"))] {
        let mut arguments = vec![Path::new("--encrypt"), Path::new("--identity"), &key];
        arguments.extend(armor);
        arguments.extend([Path::new("--output"), &*secret, &*plain]);
        tool("age", &arguments);
        let source = AgeFileSecret::new(&secret, &key);
        let found = source.fetch().await.unwrap();
        assert_eq!(found.value.expose_secret(), SECRET);
    }
}
