//! The table of embedded files and the lookup in it.

/// One embedded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// Path below the root, without a leading slash, such as `assets/index-B3xk.js`.
    pub path: &'static str,
    /// Value for the `Content-Type` header.
    pub content_type: &'static str,
    /// Strong entity tag of the content, quotes included. The gzip form is another representation of it, so a
    /// response with a `Content-Encoding` needs `Vary: Accept-Encoding` beside it.
    pub etag: &'static str,
    /// The bytes as they are.
    pub body: &'static [u8],
    /// The bytes compressed with gzip; `None` where that would not be smaller.
    pub gzip: Option<&'static [u8]>,
    /// Whether the name contains a hash of the content, so that a client may keep the file for good.
    pub immutable: bool,
}

mod table {
    use super::File;

    include!(concat!(env!("OUT_DIR"), "/files.rs"));
}

/// Whether the real UI is embedded, rather than the page that says how to get it.
#[must_use]
pub fn is_built() -> bool {
    table::IS_BUILT
}

/// Every embedded file, sorted by path.
#[must_use]
pub fn files() -> &'static [File] {
    table::FILES
}

/// Finds the file for a request path.
///
/// A leading slash is ignored. A path whose last segment has no dot is a page of the UI, which routes in the browser:
/// it gets `index.html`. Paths of an API never belong here; ask for them first.
#[must_use]
pub fn file(path: &str) -> Option<File> {
    let path = path.trim_start_matches('/');
    let last_segment = path.rsplit('/').next().unwrap_or(path);
    let key = if last_segment.contains('.') {
        path
    } else {
        "index.html"
    };
    let index = table::FILES
        .binary_search_by(|file| file.path.cmp(key))
        .ok()?;
    table::FILES.get(index).copied()
}
