//! `ringlight check`: a run against an instrumentation map.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{
    Backend, request, ringlight, send_trace, spans_of, text, trace_request_at, until, wait,
};

/// What the trace of [`shop`] is.
const RIGHT: &str = r#"
service = "shop"

[[span]]
name = "step 1"
encloses = ["step 2"]
attributes = ["note"]

[[span]]
name = "step 2"
within = ["step 1"]
values.note = ["of 00000000000000000000000000000007"]
"#;

/// What it is not.
const WRONG: &str = r#"
[[span]]
name = "step 1"
within = ["step 2"]
attributes = ["note", "amount"]

[[span]]
name = "step 2"
encloses = ["step 3"]
values.note = ["of nothing"]

[[span]]
name = "step 3"

[[span]]
name = "step 4"
"#;

/// A backend that has one trace, of four minutes ago.
fn shop() -> (tempfile::TempDir, Backend) {
    let data_dir = tempfile::tempdir().unwrap();
    let backend = Backend::up(data_dir.path());
    let began = SystemTime::now() - Duration::from_secs(240);
    let body = trace_request_at("shop", 7, 3, began);
    let kind = [("Content-Type", "application/x-protobuf")];
    let (status, _) = request(backend.http, "POST", "/v1/traces", &kind, &body).unwrap();
    assert_eq!(status, 200);
    until("the trace is there", || {
        spans_of(&backend, 7).filter(|spans| *spans == 3)
    });
    (data_dir, backend)
}

/// `ringlight check` with this map and these flags.
fn check(backend: SocketAddr, map: &str, flags: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("map.toml"), map).unwrap();
    ringlight()
        .current_dir(directory.path())
        .args(["check", "map.toml", "--url", &format!("http://{backend}")])
        .args(flags)
        .output()
        .unwrap()
}

#[track_caller]
fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

#[test]
fn a_run_that_is_as_the_map_says_passes() {
    let (_data_dir, backend) = shop();
    let output = check(backend.ui, RIGHT, &[]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert_eq!(stderr, "");
    let lines: Vec<Vec<&str>> = (stdout.lines())
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines,
        [
            vec!["SPAN", "SEEN", "FAILED"],
            vec!["step", "1", "1", "0", "ok"],
            vec!["step", "2", "1", "0", "ok"],
            vec![],
            vec!["not", "in", "the", "map:"],
            vec!["step", "3", "1"],
            vec![],
            "2 of 2 names as the map says, in 1 traces with 3 spans of `shop`"
                .split(' ')
                .collect(),
        ]
    );

    let output = check(backend.ui, RIGHT, &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let report = report(&output);
    assert_eq!(report["passed"], true);
    assert_eq!(report["service"], "shop");
    assert_eq!(report["spans"][0]["result"], "ok");
    assert_eq!(report["spans"][0]["seen"], 1);
    assert_eq!(report["beside"], json!([{"name": "step 3", "seen": 1}]));
}

#[test]
fn what_is_missing_or_wrong_is_told_with_an_example() {
    let (_data_dir, backend) = shop();
    let output = check(backend.ui, WRONG, &["--json"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with(
            "error: of the 4 names of `map.toml` 1 are missing and 2 are wrong\nhint: "
        ),
        "{stderr}"
    );
    let report = report(&output);
    assert_eq!(report["passed"], false);
    let results = report["spans"].as_array().unwrap().iter();
    let results: Vec<&str> = results
        .map(|span| span["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["wrong", "wrong", "ok", "missing"]);
    let problems = |span: usize| {
        let problems = report["spans"][span]["problems"].as_array().unwrap().iter();
        let problems = problems.map(|problem| {
            let part = |key: &str| problem[key].as_str().unwrap_or("-").to_owned();
            [part("kind"), part("attribute"), part("message")]
        });
        problems.collect::<Vec<_>>()
    };
    assert_eq!(
        problems(0),
        [
            ["attribute", "amount", "1 of 1 without attribute `amount`"],
            ["within", "-", "1 of 1 inside of none of `step 2`"],
        ]
    );
    assert_eq!(
        problems(1),
        [
            ["encloses", "-", "1 of 1 without `step 3` inside"],
            ["value", "note", "never with `note` = \"of nothing\""],
        ]
    );
    let example = &report["spans"][0]["problems"][0]["example"];
    let trace = format!("{:032x}", 7);
    assert_eq!(example["trace_id"], *trace);
    let url = format!("http://{}/traces/{trace}?span=0000000000000001", backend.ui);
    assert_eq!(example["url"], *url);

    let output = check(backend.ui, WRONG, &[]);
    assert_eq!(output.status.code(), Some(1));
    let stdout = text(&output.stdout);
    for part in [
        "step 4     0       0  missing\n",
        "    1 of 1 without attribute `amount`\n",
        &format!("        for example {url}\n"),
        "    1 of 1 inside of none of `step 2`\n",
        "    1 of 1 without `step 3` inside\n",
        "    never with `note` = \"of nothing\"\n",
        "1 of 4 names as the map says, in 1 traces with 3 spans\n",
    ] {
        assert!(stdout.contains(part), "{part}\n{stdout}");
    }
}

#[test]
fn service_and_time_choose_what_is_looked_at() {
    let (data_dir, mut backend) = shop();
    let passes = |backend: &Backend, flags: &[&str]| {
        let output = check(backend.ui, RIGHT, flags);
        (output.status.code(), text(&output.stderr))
    };
    let (code, stderr) = passes(&backend, &["--service", "shed"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        stderr,
        "error: there are no spans of the service `shed` since the backend started\nhint: there are \
         spans of `shop` (`--service`); `--since 1d`, say, looks further back\n"
    );
    let (code, stderr) = passes(&backend, &["--since", "2m"]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("of the service `shop` in this time"),
        "{stderr}"
    );
    assert_eq!(
        passes(&backend, &["--since", "1h"]),
        (Some(0), String::new())
    );

    backend.signal(Signal::TERM);
    wait(&mut backend.child);
    let again = Backend::up(data_dir.path());
    assert_eq!(passes(&again, &[]).0, Some(1));
    assert_eq!(passes(&again, &["--since", "1h"]).0, Some(0));
}

#[test]
fn more_traces_than_are_wanted_are_told() {
    let (_data_dir, backend) = shop();
    assert!(send_trace(backend.http, "shop", 8, 3));
    until("the second trace is there", || spans_of(&backend, 8));
    // The newest of the two is not the one with the value.
    let output = check(backend.ui, RIGHT, &["--json", "--limit", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("only the newest 1 traces were looked at"),
        "{stderr}"
    );
    let report = report(&output);
    assert_eq!(
        (&report["traces"], &report["traces_left_out"]),
        (&json!(1), &json!(true))
    );
    let output = check(backend.ui, RIGHT, &["--json", "--limit", "2"]);
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), "")
    );
}

#[test]
fn a_map_that_is_wrong_is_told_line_by_line() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let output = check(
        nowhere,
        "[[span]]\nname = \"a\"\nwithin = [\"b\"]\ncolor = 1\n",
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr),
        "error: map.toml:3: `within` has `\"b\"`, which is no name of this map\n\
         hint: add a `[[span]]` with `name = \"b\"`\n\
         error: map.toml:4: `color` is not what a span of a map has\n\
         hint: known are `name`, `within`, `encloses`, `attributes`, `values`, `handed_over`\n"
    );
}

#[track_caller]
fn check_unusable(output: &Output, error: &str, hint: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(text(&output.stdout), "");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(lines[0].contains(error), "{stderr}");
    assert!(
        lines[1].starts_with("hint: ") && lines[1].contains(hint),
        "{stderr}"
    );
}

#[test]
fn a_backend_that_cannot_be_asked_is_an_error_of_its_own() {
    // Nobody listens where somebody just did.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = check(free, RIGHT, &[]);
    check_unusable(
        &output,
        &format!("no backend answers at http://{free}: "),
        "`ringlight up`",
    );

    let not_one = fake(|_, _| (200, "<html>".to_owned()));
    let output = check(not_one, RIGHT, &[]);
    check_unusable(&output, "is no Ringlight", "`--url`");

    let broken = fake(|path, _| match path {
        "/api/v1/status" => (200, json!({"run_id": 1}).to_string()),
        _ => {
            let error = json!({"code": "internal", "message": "it broke", "hint": "mend it"});
            (500, json!({ "error": error }).to_string())
        }
    });
    let output = check(broken, RIGHT, &[]);
    check_unusable(
        &output,
        "/api/v1/traces is not answered: it broke",
        "mend it",
    );
}

#[test]
fn an_address_that_is_none_is_refused() {
    let url = |url: &str| {
        let command = ["check", "map.toml", "--url", url];
        ringlight().args(command).output().unwrap()
    };
    let hint = "such as `http://127.0.0.1:4320`";
    check_unusable(
        &url("127.0.0.1:4320"),
        "does not begin with `http://`",
        hint,
    );
    check_unusable(&url("https://127.0.0.1"), "does not speak TLS", hint);
    check_unusable(
        &url("http://h/traces"),
        "more than scheme, host and port",
        hint,
    );
    check_unusable(&url("http://h /"), "no address", hint);
    let secret = url("http://me:s3cret@h");
    check_unusable(&secret, "`--url http://…@h`", hint);
    assert!(!text(&secret.stderr).contains("s3cret"));
}

/// Where a span ended just now, the one inside of it may still be on its way: the trace is asked for until
/// it is there. A backend that is busy is asked again, too.
#[test]
fn what_may_still_arrive_is_waited_for() {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let span = move |id: u64, parent: &str| {
        json!({
            "span_id": format!("{id:016x}"),
            "parent_span_id": parent,
            "name": format!("step {id}"),
            "start_unix_nano": began.as_nanos().to_string(),
            "duration_nano": 1000,
            "state": "ended",
            "status": {"code": "unset", "message": ""},
            "resource": 0,
            "attributes": [{"key": "note", "type": "string", "value": "of 00000000000000000000000000000007"}],
        })
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let backend = fake(move |path, turn| {
        let answer = match path {
            "/api/v1/status" => json!({"run_id": 1}),
            "/api/v1/traces" if turn == 1 => return (503, String::new()),
            "/api/v1/traces" => {
                json!({"traces": [{"trace_id": "07"}, {"trace_id": "08"}], "next": null})
            }
            "/api/v1/traces/07" => {
                let mut spans = vec![span(1, "")];
                if count.fetch_add(1, Ordering::SeqCst) > 0 {
                    spans.push(span(2, "0000000000000001"));
                }
                json!({"resources": [{"service": "shop"}], "spans": spans, "spans_left_out": 0})
            }
            // Deleted since it was found.
            _ => return (404, String::new()),
        };
        (200, answer.to_string())
    });
    let output = check(backend, RIGHT, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let report = report(&output);
    assert_eq!(
        (&report["traces"], &report["span_count"]),
        (&json!(1), &json!(2))
    );
}

/// A backend that answers as it is told to: with a status and a body for a path and the number of the request.
/// It closes the connection after every second answer.
fn fake(answer: impl Fn(&str, usize) -> (u16, String) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut turn = 0;
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            for _ in 0..2 {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap_or(0) > 0 {}
                let Some(target) = head.split(' ').nth(1) else {
                    break;
                };
                let path = target.split('?').next().unwrap_or_default();
                let (status, body) = answer(path, turn);
                turn += 1;
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            // Whatever comes is read, so that closing does not take the answer back.
            let _ = stream.get_ref().shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}
