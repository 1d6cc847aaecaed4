//! What is a query, and what is said about everything else.

use std::fmt::Write as _;

use super::super::{Expr, QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QueryError, QuerySignal};
use super::{Query, logs, traces};

/// Each query and its canonical text.
fn canonical(signal: QuerySignal, queries: &[&str]) -> String {
    queries.iter().fold(String::new(), |mut out, text| {
        let query = Query::parse(text, signal).unwrap_or_else(|error| panic!("`{text}`: {error}"));
        let shown = query.to_string();
        let again =
            Query::parse(&shown, signal).unwrap_or_else(|error| panic!("`{shown}`: {error}"));
        assert_eq!(again.ast(), query.ast(), "`{text}` and `{shown}`");
        writeln!(out, "{text:<50} => {shown}").unwrap();
        out
    })
}

fn point_at(text: &str, error: &QueryError) -> String {
    let place = format!(
        "{}{}",
        " ".repeat(error.offset),
        "^".repeat(error.length.max(1))
    );
    let covered = &text[error.byte_offset..error.byte_offset + error.byte_length];
    assert_eq!(text[..error.byte_offset].chars().count(), error.offset);
    assert_eq!(covered.chars().count(), error.length);
    let hint = error
        .hint()
        .map_or(String::new(), |hint| format!("\n  expected {hint}"));
    format!("{text}\n{place} {}{hint}\n", error.message)
}

/// Each text with a mark below the place of its error.
fn errors(signal: QuerySignal, texts: &[&str]) -> String {
    texts
        .iter()
        .map(|text| match Query::parse(text, signal) {
            Ok(query) => panic!("`{text}` is a query: {query}"),
            Err(error) => point_at(text, &error),
        })
        .collect()
}

#[test]
fn queries_about_spans() {
    let queries = [
        "",
        "{}",
        " { } ",
        "{ true }",
        r#"{ resource.service.name = "shop" && duration > 100ms && status = error }"#,
        r#"name="GET /""#,
        "{ span.retries >= 3 } | count() > 3",
    ];
    insta::assert_snapshot!(canonical(QuerySignal::Traces, &queries), @r#"
                                                       => { }
    {}                                                 => { }
     { }                                               => { }
    { true }                                           => { }
    { resource.service.name = "shop" && duration > 100ms && status = error } => { resource.service.name = "shop" && duration > 100ms && status = error }
    name="GET /"                                       => { name = "GET /" }
    { span.retries >= 3 } | count() > 3                => { span.retries >= 3 } | count() > 3
    "#);
}

#[test]
fn every_operator_has_one_canonical_text() {
    insta::assert_snapshot!(canonical(QuerySignal::Traces, &[
        "span.a = 1", "span.a != 1", "span.a < 1", "span.a <= 1", "span.a > 1", "span.a >= 1",
        "1 < span.a", "1 >= span.a", r#"span.a =~ "x.*""#, r#"span.a !~ `\d+`"#,
    ]), @r#"
    span.a = 1                                         => { span.a = 1 }
    span.a != 1                                        => { span.a != 1 }
    span.a < 1                                         => { span.a < 1 }
    span.a <= 1                                        => { span.a <= 1 }
    span.a > 1                                         => { span.a > 1 }
    span.a >= 1                                        => { span.a >= 1 }
    1 < span.a                                         => { span.a > 1 }
    1 >= span.a                                        => { span.a <= 1 }
    span.a =~ "x.*"                                    => { span.a =~ "x.*" }
    span.a !~ `\d+`                                    => { span.a !~ "\\d+" }
    "#);
}

#[test]
fn logic_has_one_canonical_text() {
    insta::assert_snapshot!(canonical(QuerySignal::Traces, &[
        "span.a", "!span.a", "!!span.a", "!(span.a)", "!(name = nil)", "span.a && span.b && span.c",
        "span.a && (span.b && span.c)", "span.a && span.b || span.c", "span.a || (span.b && span.c)",
        "(span.a || span.b) && span.c", "((((span.a))))", "false",
    ]), @r#"
    span.a                                             => { span.a }
    !span.a                                            => { !span.a }
    !!span.a                                           => { !!span.a }
    !(span.a)                                          => { !span.a }
    !(name = nil)                                      => { !(name = nil) }
    span.a && span.b && span.c                         => { span.a && span.b && span.c }
    span.a && (span.b && span.c)                       => { span.a && span.b && span.c }
    span.a && span.b || span.c                         => { (span.a && span.b) || span.c }
    span.a || (span.b && span.c)                       => { span.a || (span.b && span.c) }
    (span.a || span.b) && span.c                       => { (span.a || span.b) && span.c }
    ((((span.a))))                                     => { span.a }
    false                                              => { false }
    "#);
}

#[test]
fn every_literal_has_one_canonical_text() {
    insta::assert_snapshot!(canonical(QuerySignal::Traces, &[
        "span.a = -5", "span.a = - 5", "span.a = 1.5", "span.a = -0.25", "span.a = 1e3",
        "span.a = 2.5e-3", "span.a = 1e300", "span.a = 007", "span.a = 9223372036854775807",
        "span.a = -9223372036854775808", "span.a = true", "span.a = nil", "span.a != nil",
        "duration = 0s", "duration = 1h30m", "duration = 1.5h", "duration = 90m", "duration = 1d",
        "duration = 2w1d", "duration = 1y", "duration = 10us", "duration = 10µs", "duration = 10μs",
        "duration = 1.5ms", "duration = 1.0000000001s", "duration > 100", "duration > 1.5",
        "span.wait > -5s",
        r#"name = "a \"b\" \\ \n \t \u00e4 \x41""#, "name = `a \"b\" \\ c`", r#"name = "é 世界""#,
        "name = \"\\u0007\\u007f\"",
    ]), @r#"
    span.a = -5                                        => { span.a = -5 }
    span.a = - 5                                       => { span.a = -5 }
    span.a = 1.5                                       => { span.a = 1.5 }
    span.a = -0.25                                     => { span.a = -0.25 }
    span.a = 1e3                                       => { span.a = 1000.0 }
    span.a = 2.5e-3                                    => { span.a = 0.0025 }
    span.a = 1e300                                     => { span.a = 1e300 }
    span.a = 007                                       => { span.a = 7 }
    span.a = 9223372036854775807                       => { span.a = 9223372036854775807 }
    span.a = -9223372036854775808                      => { span.a = -9223372036854775808 }
    span.a = true                                      => { span.a = true }
    span.a = nil                                       => { span.a = nil }
    span.a != nil                                      => { span.a != nil }
    duration = 0s                                      => { duration = 0s }
    duration = 1h30m                                   => { duration = 90m }
    duration = 1.5h                                    => { duration = 90m }
    duration = 90m                                     => { duration = 90m }
    duration = 1d                                      => { duration = 24h }
    duration = 2w1d                                    => { duration = 360h }
    duration = 1y                                      => { duration = 8760h }
    duration = 10us                                    => { duration = 10us }
    duration = 10µs                                    => { duration = 10us }
    duration = 10μs                                    => { duration = 10us }
    duration = 1.5ms                                   => { duration = 1500us }
    duration = 1.0000000001s                           => { duration = 1s }
    duration > 100                                     => { duration > 100 }
    duration > 1.5                                     => { duration > 1.5 }
    span.wait > -5s                                    => { span.wait > -5s }
    name = "a \"b\" \\ \n \t \u00e4 \x41"              => { name = "a \"b\" \\ \n \t ä A" }
    name = `a "b" \ c`                                 => { name = "a \"b\" \\ c" }
    name = "é 世界"                                      => { name = "é 世界" }
    name = "\u0007\u007f"                              => { name = "\u0007\u007f" }
    "#);
}

#[test]
fn every_field_has_one_canonical_text() {
    insta::assert_snapshot!(canonical(QuerySignal::Traces, &[
        r#"span.http.request.method = "GET""#, r#".region = "eu""#, r#"event.exception.type = "E""#,
        r#"span."my key" = 1"#, r#"span."a".b."c d" = 1"#, r#"span."quote\"back\\slash" = 1"#,
        r#"resource."{" = 1"#, "span.a-b/c:d@e = 1", "span.schlüssel = 1",
        "status = ok", "status != unset", "error = status", "kind = server", "kind != consumer",
        r#"statusMessage = "x""#, r#"rootName = "x""#, r#"rootServiceName = "x""#, "traceDuration > 1s",
        r#"span:name = "x""#, "span:duration > 1s", "span:status = error", "span:kind = client",
        r#"span:statusMessage = "x""#, r#"trace:rootName = "x""#, r#"trace:rootService = "x""#,
        "trace:duration > 1s", r#"event:name = "exception""#, r#"instrumentation:name = "shop""#,
        r#"instrumentation:version = "1""#, r#"span:id = "00000000000000ff""#, "span:parentID = nil",
        r#"trace:id = "000000000000000000000000000000FF""#,
    ]), @r#"
    span.http.request.method = "GET"                   => { span.http.request.method = "GET" }
    .region = "eu"                                     => { .region = "eu" }
    event.exception.type = "E"                         => { event.exception.type = "E" }
    span."my key" = 1                                  => { span."my key" = 1 }
    span."a".b."c d" = 1                               => { span."a.b.c d" = 1 }
    span."quote\"back\\slash" = 1                      => { span."quote\"back\\slash" = 1 }
    resource."{" = 1                                   => { resource."{" = 1 }
    span.a-b/c:d@e = 1                                 => { span.a-b/c:d@e = 1 }
    span.schlüssel = 1                                 => { span.schlüssel = 1 }
    status = ok                                        => { status = ok }
    status != unset                                    => { status != unset }
    error = status                                     => { status = error }
    kind = server                                      => { kind = server }
    kind != consumer                                   => { kind != consumer }
    statusMessage = "x"                                => { statusMessage = "x" }
    rootName = "x"                                     => { rootName = "x" }
    rootServiceName = "x"                              => { rootServiceName = "x" }
    traceDuration > 1s                                 => { traceDuration > 1s }
    span:name = "x"                                    => { name = "x" }
    span:duration > 1s                                 => { duration > 1s }
    span:status = error                                => { status = error }
    span:kind = client                                 => { kind = client }
    span:statusMessage = "x"                           => { statusMessage = "x" }
    trace:rootName = "x"                               => { rootName = "x" }
    trace:rootService = "x"                            => { rootServiceName = "x" }
    trace:duration > 1s                                => { traceDuration > 1s }
    event:name = "exception"                           => { event:name = "exception" }
    instrumentation:name = "shop"                      => { instrumentation:name = "shop" }
    instrumentation:version = "1"                      => { instrumentation:version = "1" }
    span:id = "00000000000000ff"                       => { span:id = "00000000000000ff" }
    span:parentID = nil                                => { span:parentID = nil }
    trace:id = "000000000000000000000000000000FF"      => { trace:id = "000000000000000000000000000000FF" }
    "#);
}

#[test]
fn every_stage_has_one_canonical_text() {
    insta::assert_snapshot!(canonical(QuerySignal::Traces, &[
        "{ } | count() = 2", "{}|count()!=2", "{ } | count() < -2", "span.a | count() >= 2 | count() <= 5",
    ]), @r#"
    { } | count() = 2                                  => { } | count() = 2
    {}|count()!=2                                      => { } | count() != 2
    { } | count() < -2                                 => { } | count() < -2
    span.a | count() >= 2 | count() <= 5               => { span.a } | count() >= 2 | count() <= 5
    "#);
}

#[test]
fn queries_about_log_records() {
    insta::assert_snapshot!(canonical(QuerySignal::Logs, &[
        "",
        r#"severity >= warn && body =~ ".*timeout.*""#,
        "severity = error", "severity != trace", "info < severity", "severity >= WARN", "severity > 12",
        "severity = fatal || severity = debug", "severity = nil",
        r#"{ resource.service.name = "shop" && log.user.id = 7 }"#, r#".thread.name = "main""#,
        r#"eventName = "login""#, r#"event_name = "login""#, r#"event:name = "login""#,
        r#"log:body = "x""#, "log:severity = info", r#"severityText = "WARNING""#,
        r#"trace:id = "0123456789abcdef0123456789abcdef""#, r#"span:id = "0123456789abcdef""#,
    ]), @r#"
                                                       => { }
    severity >= warn && body =~ ".*timeout.*"          => { severity >= warn && body =~ ".*timeout.*" }
    severity = error                                   => { severity = error }
    severity != trace                                  => { severity != trace }
    info < severity                                    => { severity > info }
    severity >= WARN                                   => { severity >= warn }
    severity > 12                                      => { severity > 12 }
    severity = fatal || severity = debug               => { severity = fatal || severity = debug }
    severity = nil                                     => { severity = nil }
    { resource.service.name = "shop" && log.user.id = 7 } => { resource.service.name = "shop" && log.user.id = 7 }
    .thread.name = "main"                              => { .thread.name = "main" }
    eventName = "login"                                => { event:name = "login" }
    event_name = "login"                               => { event:name = "login" }
    event:name = "login"                               => { event:name = "login" }
    log:body = "x"                                     => { body = "x" }
    log:severity = info                                => { severity = info }
    severityText = "WARNING"                           => { severityText = "WARNING" }
    trace:id = "0123456789abcdef0123456789abcdef"      => { trace:id = "0123456789abcdef0123456789abcdef" }
    span:id = "0123456789abcdef"                       => { span:id = "0123456789abcdef" }
    "#);
}

#[test]
fn the_tree_of_a_query() {
    let query = traces(r#"{ (.a = 1 || name =~ "x.*") && !span.b } | count() > 3"#);
    insta::assert_debug_snapshot!(query.ast(), @r#"
    Ast {
        filter: And(
            [
                Or(
                    [
                        Compare(
                            Comparison {
                                field: Attribute {
                                    scope: Any,
                                    key: "a",
                                },
                                operator: Equal,
                                value: Int(
                                    1,
                                ),
                            },
                        ),
                        Compare(
                            Comparison {
                                field: Intrinsic(
                                    Name,
                                ),
                                operator: Match,
                                value: Str(
                                    "x.*",
                                ),
                            },
                        ),
                    ],
                ),
                Not(
                    Is(
                        Attribute {
                            scope: Span,
                            key: "b",
                        },
                    ),
                ),
            ],
        ),
        stages: [
            Count {
                operator: Greater,
                value: 3,
            },
        ],
    }
    "#);
}

#[test]
fn an_error_says_what_is_missing() {
    insta::assert_snapshot!(errors(QuerySignal::Traces, &[
        "{", "{ name", "{ name =", "{ name = \"x\"", "{ name = \"x\" &&", "(", "!", "{ } |",
        "{ } | count", "{ } | count(", "{ } | count()", "{ } | count() >", "{ (span.a }",
        "name = \"x", "name = `x", "span.\"x", "span.",
    ]), @r#"
    {
     ^ the end of the query stands where it cannot
      expected a field, a value, `(` or `!`
    { name
          ^ the comparison is not finished
      expected a comparison such as `=`, `!=` or `>`
    { name =
            ^ the end of the query stands where it cannot
      expected a field, a value, `(` or `!`
    { name = "x"
                ^ the end of the query stands where it cannot
      expected `&&`, `||` or `}`
    { name = "x" &&
                   ^ the end of the query stands where it cannot
      expected a field, a value, `(` or `!`
    (
     ^ the end of the query stands where it cannot
      expected a field, a value, `(` or `!`
    !
     ^ the end of the query stands where it cannot
      expected a field, a value, `(` or `!`
    { } |
         ^ the end of the query stands where it cannot
      expected `count() > 3`
    { } | count
               ^ the end of the query stands where it cannot
      expected `()`
    { } | count(
                ^ the end of the query stands where it cannot
      expected `)`
    { } | count()
                 ^ the end of the query stands where it cannot
      expected `=`, `!=`, `<`, `<=`, `>` or `>=`
    { } | count() >
                   ^ the end of the query stands where it cannot
      expected a field, a value, `(` or `!`
    { (span.a }
              ^ `}` stands where it cannot
      expected `&&`, `||` or `)`
    name = "x
           ^^ the text is not closed
      expected `"`
    name = `x
           ^^ the text is not closed
      expected a backtick
    span."x
         ^^ the attribute's name is not closed
      expected `"`
    span.
    ^^^^^ the attribute has no name
      expected a name such as `http.request.method`
    "#);
}

#[test]
fn an_error_points_at_what_is_too_much() {
    insta::assert_snapshot!(errors(QuerySignal::Traces, &[
        "{ } }", "span.a)", "{ span.a span.b }", "span.a 5", "{ } { }", "{ span.a } && { span.b }",
        "{ } >> { }", "{ } | { span.a }", "{ } | avg(duration) > 1s", "{ } | count() > 1.5",
        "{ } | count() =~ 1", "{ } | count() > name", "{ () }", "&& span.a",
    ]), @r#"
    { } }
        ^ `}` stands where it cannot
      expected `&&`, `||`, `|` or the end of the query
    span.a)
          ^ `)` stands where it cannot
      expected `&&`, `||`, `|` or the end of the query
    { span.a span.b }
             ^^^^^^ `span.b` stands where it cannot
      expected `&&`, `||` or `}`
    span.a 5
           ^ `5` stands where it cannot
      expected `&&`, `||`, `|` or the end of the query
    { } { }
        ^ span sets are not combined; one pair of braces holds all conditions
      expected the end of the query or `| count() > 3`
    { span.a } && { span.b }
               ^^ span sets are not combined; one pair of braces holds all conditions
      expected the end of the query or `| count() > 3`
    { } >> { }
        ^^ relations between spans are not supported
    { } | { span.a }
          ^ `{` stands where it cannot
      expected `count() > 3`
    { } | avg(duration) > 1s
          ^^^ `avg` is not supported behind `|`
      expected `count() > 3`
    { } | count() > 1.5
                    ^^^ the number of spans is compared with an integer
      expected an integer
    { } | count() =~ 1
                  ^^ a number is not matched with a regular expression
      expected `=`, `!=`, `<`, `<=`, `>` or `>=`
    { } | count() > name
                    ^^^^ the number of spans is compared with an integer
      expected an integer
    { () }
       ^ `)` stands where it cannot
      expected a field, a value, `(` or `!`
    && span.a
    ^^ `&&` stands where it cannot
      expected a field, a value, `(` or `!`
    "#);
}

#[test]
fn an_error_knows_operators_from_elsewhere() {
    insta::assert_snapshot!(errors(QuerySignal::Traces, &[
        "name == \"x\"", "name <> \"x\"", "name ~= \"x\"", "name => \"x\"", "span.a & span.b",
        "span.a and span.b", "not span.a", "span.a OR span.b", "name = 'x'", "name = \"x\" ; x",
        "span.a # comment", "span.a || span.b && span.c", "!name = \"x\"", "name",
    ]), @r#"
    name == "x"
         ^^ equality is written with one sign
      expected `=`
    name <> "x"
         ^^ there is no such operator
      expected `!=`
    name ~= "x"
         ^^ there is no such operator
      expected `=~`
    name => "x"
         ^^ there is no such operator
      expected `>=`
    span.a & span.b
           ^ there is no such operator
      expected `&&`
    span.a and span.b
           ^^^ `and` is written `&&`
      expected `&&`, `||`, `|` or the end of the query
    not span.a
    ^^^ `not` is written `!`
    span.a OR span.b
           ^^ `OR` is written `||`
      expected `&&`, `||`, `|` or the end of the query
    name = 'x'
           ^ text stands in double quotes or backticks
      expected `"`
    name = "x" ; x
               ^ `;` means nothing here
    span.a # comment
           ^ `#` means nothing here
    span.a || span.b && span.c
                     ^^ `&&` behind `||` can be read in two ways
      expected parentheses: `a || (b && c)` or `(a || b) && c`
    !name = "x"
     ^^^^ `!` binds tighter than a comparison
      expected `!(name = "x")`
    name
        ^ the comparison is not finished
      expected a comparison such as `=`, `!=` or `>`
    "#);
}

#[test]
fn an_error_points_at_what_is_no_field() {
    insta::assert_snapshot!(errors(QuerySignal::Traces, &[
        "service.name = \"x\"", "my.\"odd key\" = 1", "foo = 1", "span = 1", "span:foo = 1", "severity = error",
        "log.a = 1", "parent.a = 1", ". = 1", "span.a = span.b", "1 = 2", "\"x\"", "5",
        "\"x\" =~ name",
    ]), @r#"
    service.name = "x"
    ^^^^^^^^^^^^ the attribute is written `.service.name`
      expected `.service.name`, `span.service.name`, `resource.service.name` or `event.service.name`
    my."odd key" = 1
    ^^^^^^^^^^^^ the attribute is written `.my."odd key"`
      expected `.my."odd key"`, `span.my."odd key"`, `resource.my."odd key"` or `event.my."odd key"`
    foo = 1
    ^^^ `foo` is not a field
      expected an attribute such as `.foo` or one of `name` `duration` `status` `statusMessage` `kind` `rootName` `rootServiceName` `traceDuration`
    span = 1
    ^^^^ `span` is not a field
      expected an attribute such as `.span` or one of `name` `duration` `status` `statusMessage` `kind` `rootName` `rootServiceName` `traceDuration`
    span:foo = 1
    ^^^^^^^^ `span:foo` is not a field
      expected one of `name` `duration` `status` `statusMessage` `kind` `rootName` `rootServiceName` `traceDuration`
    severity = error
    ^^^^^^^^ spans have no `severity`
      expected one of `name` `duration` `status` `statusMessage` `kind` `rootName` `rootServiceName` `traceDuration`
    log.a = 1
    ^^^ spans have no `log.` attributes
      expected `span.`, `resource.`, `event.` or a dot before it: `.log.a`
    parent.a = 1
    ^^^^^^ `parent` is not a scope
      expected `span.`, `resource.`, `event.` or a dot before it: `.parent.a`
    . = 1
    ^ the attribute has no name
      expected a name such as `http.request.method`
    span.a = span.b
             ^^^^^^ two fields are not compared with each other
      expected a value
    1 = 2
    ^ nothing of the record is compared
      expected `name`, `duration` or an attribute such as `span.key`
    "x"
    ^^^ a value by itself says nothing about a record
      expected `name`, `duration` or an attribute such as `span.key`
    5
    ^ a value by itself says nothing about a record
      expected `name`, `duration` or an attribute such as `span.key`
    "x" =~ name
    ^^^^^^^^^^^ the regular expression stands on the right
    "#);
}

#[test]
fn an_error_says_which_values_fit() {
    insta::assert_snapshot!(errors(QuerySignal::Traces, &[
        "name = 5", "name = x", "span.level = warn", "span.a = error", "status = \"error\"",
        "status = failed", "status > ok", "kind = server1", "kind = error", "kind =~ \"s.*\"",
        "duration > \"1s\"", "duration = 5 s", "duration =~ \"1.*\"", "span.a > nil", "span.a < true",
        "span.a =~ 5", "trace:id = \"xyz\"", "span:id > \"00000000000000ff\"",
    ]), @r#"
    name = 5
           ^ `name` is not compared with a number
      expected text in quotes
    name = x
           ^ `x` is not a value `name` is compared with
      expected quotes around text: `"x"`
    span.level = warn
                 ^^^^ `warn` is not a value `span.level` is compared with
      expected quotes around text: `"warn"`
    span.a = error
             ^^^^^ `error` is not a value `span.a` is compared with
      expected quotes around text: `"error"`
    status = "error"
             ^^^^^^^ `status` is not compared with this text
      expected `ok`, `error` or `unset`
    status = failed
             ^^^^^^ `failed` is not a value `status` is compared with
      expected `ok`, `error` or `unset`
    status > ok
           ^ `>` does not apply to `ok`
      expected `=` or `!=`
    kind = server1
           ^^^^^^^ `server1` is not a value `kind` is compared with
      expected `unspecified`, `internal`, `server`, `client`, `producer` or `consumer`
    kind = error
           ^^^^^ `error` is not a value `kind` is compared with
      expected `unspecified`, `internal`, `server`, `client`, `producer` or `consumer`
    kind =~ "s.*"
            ^^^^^ `kind` is not compared with this text
      expected `unspecified`, `internal`, `server`, `client`, `producer` or `consumer`
    duration > "1s"
               ^^^^ `duration` is not compared with this text
      expected a duration such as `100ms`
    duration = 5 s
                 ^ `s` stands where it cannot
      expected `&&`, `||`, `|` or the end of the query
    duration =~ "1.*"
                ^^^^^ `duration` is not compared with this text
      expected a duration such as `100ms`
    span.a > nil
           ^ `>` does not apply to `nil`
      expected `=` or `!=`
    span.a < true
           ^ `<` does not apply to `true` or `false`
      expected `=` or `!=`
    span.a =~ 5
           ^^ `=~` takes a regular expression in quotes
      expected `=`, `!=`, `<`, `<=`, `>` or `>=`
    trace:id = "xyz"
               ^^^^^ `trace:id` is not compared with this text
      expected 32 hexadecimal digits in quotes
    span:id > "00000000000000ff"
            ^ `>` does not apply to this text
      expected `=` or `!=`
    "#);
}

#[test]
fn an_error_points_at_what_is_no_literal() {
    insta::assert_snapshot!(errors(QuerySignal::Traces, &[
        "span.a = 5x", "span.a = 1.2.3", "span.a = 1s2", "span.a = 1_000", "span.a = 0x10",
        "span.a = 99999999999999999999", "span.a = -99999999999999999999", "span.a = 1e999",
        "duration > 300y", "span.a = - x", "span.a = --5", r#"name = "\d""#, r#"name = "\u12""#,
        r#"name = "\ud800""#, r#"name = "\xff""#, r#"span."\n" = 1"#, "name = \"a\nb\"",
    ]), @r#"
    span.a = 5x
             ^^ `5x` is neither a number nor a duration
      expected a number or a duration such as `100ms`, `1.5s` or `2h30m`
    span.a = 1.2.3
             ^^^^^ `1.2.3` is neither a number nor a duration
      expected a number or a duration such as `100ms`, `1.5s` or `2h30m`
    span.a = 1s2
             ^^^ `1s2` is neither a number nor a duration
      expected a number or a duration such as `100ms`, `1.5s` or `2h30m`
    span.a = 1_000
             ^^^^^ `1_000` is neither a number nor a duration
      expected a number or a duration such as `100ms`, `1.5s` or `2h30m`
    span.a = 0x10
             ^^^^ `0x10` is neither a number nor a duration
      expected a number or a duration such as `100ms`, `1.5s` or `2h30m`
    span.a = 99999999999999999999
             ^^^^^^^^^^^^^^^^^^^^ the number is too large
      expected an integer of 64 bits
    span.a = -99999999999999999999
              ^^^^^^^^^^^^^^^^^^^^ the number is too large
      expected an integer of 64 bits
    span.a = 1e999
             ^^^^^ the number is too large
    duration > 300y
               ^^^^ the duration is too long
      expected at most 292 years
    span.a = - x
               ^ `x` stands where it cannot
      expected a number
    span.a = --5
              ^ `-` stands where it cannot
      expected a number
    name = "\d"
            ^^ unknown escape `\d`; a backslash itself is `\\`
      expected `\"`, `\\`, `\n`, `\r`, `\t`, `\uXXXX`, or text in backticks
    name = "\u12"
            ^^ `\u` needs the 4 hexadecimal digits of a character
      expected `\"`, `\\`, `\n`, `\r`, `\t`, `\uXXXX`, or text in backticks
    name = "\ud800"
            ^^ `\u` needs the 4 hexadecimal digits of a character
      expected `\"`, `\\`, `\n`, `\r`, `\t`, `\uXXXX`, or text in backticks
    name = "\xff"
            ^^ `\x` needs the 2 hexadecimal digits of a character
      expected `\"`, `\\`, `\n`, `\r`, `\t`, `\uXXXX`, or text in backticks
    span."\n" = 1
          ^^ unknown escape in the attribute's name
      expected `\\` or `\"`
    name = "a
    b"
           ^^ the text is not closed
      expected `"`
    "#);
}

#[test]
fn an_error_points_into_regular_expressions() {
    insta::assert_snapshot!(errors(QuerySignal::Traces, &[
        r#"name =~ "(""#, r#"name =~ ")(""#, r#"name =~ "*""#, r#"name =~ `\w{1000}{1000}`"#,
        r#"name =~ `\p{Nope}`"#,
    ]), @r#"
    name =~ "("
            ^^^ the regular expression is not valid: unclosed group
    name =~ ")("
            ^^^^ the regular expression is not valid: unopened group
    name =~ "*"
            ^^^ the regular expression is not valid: repetition operator missing expression
    name =~ `\w{1000}{1000}`
            ^^^^^^^^^^^^^^^^ the regular expression needs too much memory
    name =~ `\p{Nope}`
            ^^^^^^^^^^ the regular expression is not valid: Unicode property not found
    "#);
}

#[test]
fn an_error_counts_characters_and_not_bytes() {
    insta::assert_snapshot!(errors(QuerySignal::Traces, &[
        "name = \"é世界\" && status = oops",
    ]), @r#"
    name = "é世界" && status = oops
                             ^^^^ `oops` is not a value `status` is compared with
      expected `ok`, `error` or `unset`
    "#);
}

#[test]
fn errors_in_queries_about_log_records() {
    insta::assert_snapshot!(errors(QuerySignal::Logs, &[
        "severity >= warning", "severity = \"warn\"", "severity =~ \"w.*\"", "name = \"x\"",
        "duration > 1s", "span.a = 1", "event.a = 1", "exception.type = \"io::Error\"", "body > 5", "{ } | count() > 3", "foo",
    ]), @r#"
    severity >= warning
                ^^^^^^^ `warning` is not a value `severity` is compared with
      expected `trace`, `debug`, `info`, `warn`, `error` or `fatal`
    severity = "warn"
               ^^^^^^ `severity` is not compared with this text
      expected `trace`, `debug`, `info`, `warn`, `error` or `fatal`
    severity =~ "w.*"
                ^^^^^ `severity` is not compared with this text
      expected `trace`, `debug`, `info`, `warn`, `error` or `fatal`
    name = "x"
    ^^^^ log records have no `name`
      expected one of `severity` `severityText` `body` `eventName` `event_name`
    duration > 1s
    ^^^^^^^^ log records have no `duration`
      expected one of `severity` `severityText` `body` `eventName` `event_name`
    span.a = 1
    ^^^^ log records have no `span.` attributes
      expected `log.`, `resource.` or a dot before it: `.span.a`
    event.a = 1
    ^^^^^ log records have no `event.` attributes
      expected `log.`, `resource.` or a dot before it: `.event.a`
    exception.type = "io::Error"
    ^^^^^^^^^^^^^^ the attribute is written `.exception.type`
      expected `.exception.type`, `log.exception.type` or `resource.exception.type`
    body > 5
           ^ `body` is not compared with a number
      expected text in quotes
    { } | count() > 3
          ^^^^^ `count()` counts the spans of a trace, not log records
    foo
    ^^^ `foo` is not a field
      expected an attribute such as `.foo` or one of `severity` `severityText` `body` `eventName` `event_name`
    "#);
}

#[test]
fn length_nesting_and_regular_expressions_are_bounded() {
    let long = format!("name = \"{}\"", "x".repeat(QUERY_BYTES_MAX));
    let error = Query::parse(&long, QuerySignal::Traces).unwrap_err();
    assert_eq!(error.message, "the query is longer than 8192 bytes");
    assert_eq!(error.byte_offset, QUERY_BYTES_MAX);

    // A character of two bytes across the limit.
    let long = format!("x{}", "é".repeat(QUERY_BYTES_MAX));
    let error = Query::parse(&long, QuerySignal::Traces).unwrap_err();
    assert_eq!(error.byte_offset, QUERY_BYTES_MAX - 1);

    for (open, close) in [("(", ")"), ("!", ""), ("!(", ")")] {
        let nested =
            |levels: usize| format!("{}span.a{}", open.repeat(levels), close.repeat(levels));
        let fitting = QUERY_DEPTH_MAX / open.len();
        assert!(Query::parse(&nested(fitting), QuerySignal::Traces).is_ok());
        for levels in [fitting + 1, 4000] {
            let error = Query::parse(&nested(levels), QuerySignal::Traces).unwrap_err();
            if nested(levels).len() <= QUERY_BYTES_MAX {
                assert_eq!(error.message, "the query is nested deeper than 64 levels");
                assert_eq!(error.offset, QUERY_DEPTH_MAX);
            }
        }
    }

    let regexes = |count: usize| vec![r#"name =~ "x""#; count].join(" || ");
    assert!(Query::parse(&regexes(16), QuerySignal::Traces).is_ok());
    let error = Query::parse(&regexes(17), QuerySignal::Traces).unwrap_err();
    assert_eq!(
        error.message,
        "the query has more than 16 regular expressions"
    );
}

#[test]
fn a_query_knows_what_it_needs() {
    assert!(traces("").is_everything());
    assert!(!traces("span.a").is_everything());
    assert!(traces("span.a && rootName = \"x\"").needs_trace());
    assert!(!traces("name = \"x\"").needs_trace());
    assert_eq!(traces("false").ast().filter, Expr::Constant(false));

    let query = traces("{ } | count() > 2 | count() < 5");
    assert!(query.has_count());
    let accepted: Vec<u64> = (0..8).filter(|count| query.accepts_count(*count)).collect();
    assert_eq!(accepted, [3, 4]);
    // Without a condition one match is enough, and none is none.
    assert!(!traces("").accepts_count(0));
    assert!(!traces("{ } | count() = 0").accepts_count(0));
    assert!(logs("").accepts_count(1));
}

#[test]
fn a_field_is_listed_once_and_never_in_every_scope() {
    let query = traces(r#".a = 1 && (span.a = 2 || .a = 3) && name = "x""#);
    let shown: Vec<String> = query.fields().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["span.a", "resource.a", "name"]);
    let query = logs(".a = 1");
    let shown: Vec<String> = query.fields().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["log.a", "resource.a"]);
}
