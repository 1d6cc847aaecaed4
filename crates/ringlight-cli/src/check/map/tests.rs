use std::io::Write as _;

use super::*;

/// The one problem of a map, or all: line, and a part of the message and of the hint.
#[track_caller]
fn check_refused(text: &str, expected: &[(usize, &str, &str)]) {
    let problems = Map::parse(text).unwrap_err();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (line, message, hint)) in problems.iter().zip(expected) {
        assert_eq!(problem.line, Some(*line), "{problem:#?}");
        assert_eq!(problem.message, *message);
        assert!(problem.hint.contains(hint), "{problem:#?}");
    }
}

#[test]
fn a_map_is_read_whatever_the_order_of_its_names() {
    let map = Map::parse(
        r#"
        service = "shop"

        [[span]]
        name = "pay"
        within = ["order"]
        attributes = ["amount"]
        values.method = ["card", "cash"]
        values."http.status" = [200]
        values.retried = [true]

        [[span]]
        name = "order"
        encloses = ["pay", "pack"]

        [[span]]
        name = "pack"
        handed_over = true
        "#,
    )
    .unwrap();
    assert_eq!(map.service.as_deref(), Some("shop"));
    assert!(map.is_about("shop") && !map.is_about("shop2"));
    let [pay, order, pack] = &map.spans[..] else {
        panic!("{map:#?}");
    };
    assert_eq!(map.index_of("pack"), Some(2));
    assert_eq!((pay.name.as_str(), &pay.within[..]), ("pay", &[1][..]));
    assert_eq!(pay.attributes, ["amount"]);
    let value = |key: &str, value: Value| (key.to_owned(), value);
    assert_eq!(
        pay.values,
        [
            value("method", "card".into()),
            value("method", "cash".into()),
            value("http.status", 200.into()),
            value("retried", true.into()),
        ]
    );
    assert_eq!(order.encloses, [0, 2]);
    assert!(pack.is_handed_over && !pay.is_handed_over);
}

#[test]
fn without_a_service_all_are_meant() {
    let map = Map::parse("[[span]]\nname = \"a\"").unwrap();
    assert!(map.is_about("shop") && map.is_about(""));
}

#[test]
fn everything_that_is_wrong_is_told_with_its_line_and_what_is_allowed() {
    check_refused(
        r#"
servcie = "shop"
owner = "us"

[[span]]
name = "order"
encloses = ["pya", "pay", "ship it"]
attribute = ["amount"]
colour = "red"

[[span]]
name = "pay"
within = "order"
attributes = ["amount", 7, ""]
handed_over = "yes"

[[span]]
within = ["order"]

[[span]]
name = "pay"

[[span]]
name = 5
"#,
        &[
            (
                2,
                "`servcie` is not what a map has",
                "did you mean `service`?",
            ),
            (
                3,
                "`owner` is not what a map has",
                "known are `service`, `span`",
            ),
            (
                7,
                "`encloses` has `\"pya\"`, which is no name of this map",
                "did you mean `pay`?",
            ),
            (
                7,
                "`encloses` has `\"ship it\"`, which is no name of this map",
                "add a `[[span]]`",
            ),
            (
                8,
                "`attribute` is not what a span of a map has",
                "did you mean `attributes`?",
            ),
            (
                9,
                "`colour` is not what a span of a map has",
                "known are `name`, `within`",
            ),
            (
                13,
                "`within` is `\"order\"`",
                "allowed is an array of texts",
            ),
            (14, "`attributes` has `7`", "allowed is an array of texts"),
            (
                14,
                "`attributes` has `\"\"`",
                "allowed is an array of texts",
            ),
            (
                15,
                "`handed_over` is `\"yes\"`",
                "allowed is `true` or `false`",
            ),
            (17, "this `[[span]]` has no `name`", "name = "),
            (
                21,
                "`name` is `\"pay\"`, which is there before",
                "one `[[span]]`",
            ),
            (24, "`name` is `5`", "allowed is a text"),
        ],
    );
}

#[test]
fn values_are_arrays_below_an_attribute() {
    check_refused(
        r#"
[[span]]
name = "a"
values.http.method = ["GET"]
values."url.path" = "/"
values.ratio = [1.5, [2]]

[[span]]
name = "b"
values = ["GET"]
"#,
        &[
            (4, "`values.http` is a table", "in quotes"),
            (5, "`values.\"url.path\"` is `\"/\"`", "allowed are arrays"),
            (6, "`values.\"ratio\"` has `1.5`", "allowed are arrays"),
            (6, "`values.\"ratio\"` has `[2]`", "allowed are arrays"),
            (10, "`values` is `[\"GET\"]`", "allowed are arrays"),
        ],
    );
}

#[test]
fn what_is_no_map_is_told_as_such() {
    check_refused(
        "service = \"a\"\nservice = \"b\"\n",
        &[(2, "this is not TOML: duplicate key", "https://toml.io")],
    );
    check_refused("span = 3", &[(1, "`span` is an integer", "`[[span]]`")]);
    check_refused(
        "service = 3\n[[span]]\nname = \"a\"",
        &[(1, "`service` is `3`", "allowed is a text")],
    );
    let none = Map::parse("service = \"a\"").unwrap_err();
    assert_eq!((none.len(), none[0].line), (1, None));
    assert_eq!(none[0].message, "the map has no span");
}

#[test]
fn a_file_that_cannot_be_one_is_not_read() {
    let read = |path: &Path| {
        let problems = Map::read(path).unwrap_err();
        assert_eq!((problems.len(), problems[0].line), (1, None));
        problems[0].message.clone()
    };
    let directory = tempfile::tempdir().unwrap();
    assert!(read(directory.path()).contains("the map cannot be read"));
    assert!(read(&directory.path().join("none.toml")).contains("No such file"));
    let path = directory.path().join("large.toml");
    let mut file = File::create(&path).unwrap();
    file.write_all(&vec![b'#'; BYTES_MAX as usize + 1]).unwrap();
    assert!(read(&path).contains("more than 1048576 bytes"));
    std::fs::write(&path, b"service = \"\xff\"").unwrap();
    assert!(read(&path).contains("UTF-8"));
}

/// The maps that the guide shows, and those of the sample applications.
#[test]
fn the_maps_that_are_shown_are_maps() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let guide = std::fs::read_to_string(format!("{root}docs/span-map.md")).unwrap();
    let shown: Vec<&str> = (guide.split("```toml\n").skip(1))
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(!shown.is_empty());
    for text in shown {
        let map = Map::parse(text);
        assert!(map.is_ok(), "{text}: {map:#?}");
    }
    for app in ["agent", "streaming"] {
        let map = Map::read(Path::new(&format!("{root}apps/{app}/map.toml"))).unwrap();
        assert_eq!(map.service.as_deref(), Some(app));
    }
}
