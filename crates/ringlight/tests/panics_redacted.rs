//! What is recorded of panics whose messages have secrets.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use ringlight::LogFormat;
use ringlight_testing::Backend;
use tracing::info_span;

const LONG: Duration = Duration::from_secs(20);
const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
const PASSWORD: &str = "hunter2-is-secret";

#[derive(Debug)]
#[expect(dead_code, reason = "its text is all that is looked at")]
struct Refused {
    password: &'static str,
}

#[test]
fn fault_36_a_panic_leaves_with_no_secret_of_its_message() {
    // The one there is would write it to the test's own output.
    panic::set_hook(Box::new(|_| ()));
    let backend = Backend::start();
    let telemetry = ringlight::builder()
        .environment([("RINGLIGHT_REDACT", "standard")])
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .init()
        .unwrap();
    let panics: [fn(); 3] = [
        || panic!("the backend refused {TOKEN}"),
        || panic!("cannot log in with password={PASSWORD}"),
        || panic!("{:?}", Refused { password: PASSWORD }),
    ];
    for body in panics {
        let span = info_span!("work");
        assert!(panic::catch_unwind(AssertUnwindSafe(|| span.in_scope(body))).is_err());
    }
    telemetry.shutdown(LONG);
    let seen = backend.stop();
    let records = seen.log_records();
    assert_eq!(records.len(), panics.len());
    for record in &records {
        assert!(
            record
                .attributes
                .iter()
                .any(|a| a.key == "exception.message")
        );
    }
    for request in &seen.requests {
        let text = String::from_utf8_lossy(&request.body);
        for secret in [TOKEN, PASSWORD] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
