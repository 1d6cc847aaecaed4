//! What needs a look inside. Everything else is tested through a running server, in `tests/api`.

use std::collections::BTreeSet;

use http::HeaderMap;

use super::answer::accepts_gzip;
use super::params::{Params, shown};
use super::{openapi, routes};

#[test]
fn the_document_describes_exactly_the_paths_that_are_served() {
    let document = serde_json::to_value(openapi::openapi()).unwrap();
    let described: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let routes = routes();
    let served: BTreeSet<&str> = routes.iter().map(|(path, _)| *path).collect();
    assert_eq!(described, served);
}

#[test]
fn parameters_are_read_strictly() {
    let check = |query: &str| {
        Params::read(Some(query), &["a", "b"]).map(|params| params.text("a").map(str::to_owned))
    };
    assert_eq!(check("").unwrap(), None);
    assert_eq!(check("a=&b=1").unwrap(), None);
    assert_eq!(check("a=x%20y+z%26").unwrap().as_deref(), Some("x y z&"));
    assert_eq!(check("a=%ff").unwrap().as_deref(), Some("\u{fffd}"));
    assert_eq!(
        check("a=1&c=2").unwrap_err().message(),
        "parameter `c` is not known here"
    );
    assert_eq!(
        check("a=1&a=2").unwrap_err().message(),
        "parameter `a` is given twice"
    );
}

#[test]
fn what_messages_repeat_is_short_and_plain() {
    assert_eq!(shown("a\x1b[31m\n\0b"), "a\u{fffd}[31m\u{fffd}\u{fffd}b");
    assert_eq!(shown(&"é".repeat(80)).chars().count(), 80);
    assert_eq!(shown(&"é".repeat(1000)).chars().count(), 81);
}

#[test]
fn gzip_is_used_when_the_client_takes_it() {
    let check = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("accept-encoding", value.parse().unwrap());
        accepts_gzip(&headers)
    };
    for accepted in [
        "gzip",
        "br, GZIP",
        "gzip;q=0.5",
        "*",
        "br;q=1, *;q=0.1",
        "gzip; q=1",
    ] {
        assert!(check(accepted), "`{accepted}`");
    }
    for refused in [
        "",
        "br",
        "identity",
        "gzip;q=0",
        "gzip;q=0.0, br",
        "*;q=0",
        "gzip;q=x",
    ] {
        assert!(!check(refused), "`{refused}`");
    }
    assert!(!accepts_gzip(&HeaderMap::new()));
}
