//! What every embedded set of files must hold, be it the built UI or the page in its place.

use std::io::Read;

use super::{file, files, is_built};

#[test]
fn a_page_path_gets_the_index() {
    for path in [
        "",
        "/",
        "/traces",
        "/traces/4bf92f3577b34da6a3ce929d0e0e4736",
        "logs",
    ] {
        let found = file(path).expect(path);
        assert_eq!(found.path, "index.html", "{path}");
        assert_eq!(found.content_type, "text/html; charset=utf-8");
        assert!(!found.immutable, "the entry page must be asked for again");
    }
}

#[test]
fn a_missing_file_is_none() {
    for path in ["/nope.js", "assets/../Cargo.toml", "/assets/", "..%2f.env"] {
        let found = file(path);
        assert!(
            found.is_none_or(|file| file.path == "index.html"),
            "{path}: {found:?}"
        );
    }
    assert!(file("/assets/missing-0000.js").is_none());
}

#[test]
fn every_file_is_reachable_and_complete() {
    for entry in files() {
        let found = file(entry.path).expect(entry.path);
        assert_eq!(found, *entry);
        assert!(!entry.body.is_empty(), "{}", entry.path);
        assert!(entry.etag.starts_with('"') && entry.etag.ends_with('"') && entry.etag.len() > 10);
        assert_ne!(
            entry.content_type, "application/octet-stream",
            "{} has no known type",
            entry.path
        );
    }
    let mut etags: Vec<_> = files().iter().map(|file| file.etag).collect();
    etags.sort_unstable();
    etags.dedup();
    assert_eq!(etags.len(), files().len(), "two files share an entity tag");
}

#[test]
fn gzip_holds_the_same_bytes() {
    for entry in files() {
        let Some(gzip) = entry.gzip else { continue };
        assert!(gzip.len() < entry.body.len(), "{}", entry.path);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(gzip)
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(plain, entry.body, "{}", entry.path);
    }
}

#[test]
fn only_names_with_a_hash_are_immutable() {
    for entry in files() {
        assert_eq!(
            entry.immutable,
            entry.path.starts_with("assets/"),
            "{}",
            entry.path
        );
    }
}

#[test]
fn html_has_nothing_inline() {
    for entry in files()
        .iter()
        .filter(|file| file.content_type.starts_with("text/html"))
    {
        let html = str::from_utf8(entry.body).unwrap();
        assert!(!html.contains("<style"), "{}", entry.path);
        assert!(!html.contains(" style="), "{}", entry.path);
        for script in html.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap_or_default();
            assert!(
                tag.contains("src="),
                "{}: an inline script `{tag}`",
                entry.path
            );
        }
    }
}

#[test]
fn the_first_visit_stays_small() {
    let bytes: usize = files()
        .iter()
        .map(|file| file.gzip.unwrap_or(file.body).len())
        .sum();
    assert!(bytes < 150 * 1024, "{bytes} bytes over the wire");
}

#[test]
fn without_node_the_page_says_what_to_do() {
    let page = str::from_utf8(file("/").unwrap().body).unwrap();
    assert_eq!(
        page.contains("npm ci"),
        !is_built(),
        "the instructions and the UI exclude each other"
    );
}
