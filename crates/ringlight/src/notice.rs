//! What Ringlight itself has to say to a person: single lines on stderr, never through `tracing`.

use std::fmt;
use std::io::Write as _;
use std::sync::Mutex;

use ringlight_collector::{Notice, Notices};

use crate::sync::unpoisoned;
use crate::uncounted::uncounted;
use crate::writer::Writer;

/// What a pipeline has to say, written by a thread of its own: a stderr that takes nothing, which may be
/// the very thing to speak of, holds the collector up for a tenth of a second at most.
pub(crate) fn of_pipeline() -> Notices {
    let writer = Mutex::new(Writer::new(
        Box::new(std::io::stderr()),
        "ringlight-notes",
        "notices",
        Notices::new(|notice| say(format_args!("{notice}"))),
    ));
    Notices::new(move |notice| {
        if cfg!(test) {
            return say(format_args!("{notice}"));
        }
        let mut writer = unpoisoned(writer.lock());
        writer.write(&format!("ringlight: {notice}\n"), 1, false);
        writer.flush();
    })
}

/// What a secret has to say. That there is none yet, the pipeline says with the first batch that waits.
#[cfg(feature = "otel")]
pub(crate) fn of_secret(notices: &Notices, notice: &ringlight_secrets::SecretNotice) {
    use ringlight_secrets::SecretNotice;
    if let SecretNotice::Failed {
        has_headers: false, ..
    } = notice
    {
        return;
    }
    notices.send(&Notice::Transport {
        destination: "headers of OTLP requests".to_owned(),
        message: notice.to_string(),
    });
}

/// What trace files have to say.
#[cfg(feature = "profiling")]
pub(crate) fn of_trace_file(notices: &Notices, notice: &ringlight_tracefile::TraceFileNotice) {
    notices.send(&Notice::TraceFile {
        message: notice.to_string(),
    });
}

/// Something about what is recorded. It may be said on a thread of the application.
pub(crate) fn of_recording(notices: &Notices, message: impl fmt::Display) {
    uncounted(|| {
        notices.send(&Notice::Recording {
            message: message.to_string(),
        });
    });
}

/// What is ignored of the settings.
pub(crate) fn of_settings(notices: &Notices, message: impl fmt::Display) {
    notices.send(&Notice::Settings {
        message: message.to_string(),
    });
}

/// Says it where there are no notices: of what the whole process shares, and of the writer of notices itself. A closed
/// stderr is nobody's problem.
#[expect(
    clippy::print_stderr,
    reason = "what is printed so belongs to its test"
)]
pub(crate) fn say(message: fmt::Arguments<'_>) {
    uncounted(|| {
        let line = format!("ringlight: {message}\n");
        if cfg!(test) {
            // Kept by the test that is running, and shown only if that fails.
            eprint!("{line}");
        } else {
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    });
}
