//! The ways a process can end, one an argument; `tests/endings.rs` looks at what is delivered.
//!
//! ```text
//! OTLP_ENDPOINT=http://localhost:4317 cargo run -p ringlight --example endings -- return
//! ```

use std::error::Error;
use std::process::{ExitCode, exit};
use std::time::Duration;

use ringlight::LogFormat;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let ending = std::env::args().nth(1).unwrap_or_default();
    let format = match ending.as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    };
    let telemetry = ringlight::builder().log_format(format).init()?;
    tracing::info_span!("ending").in_scope(|| {
        tracing::info!(ending, "about to end \u{1b}[31m in red");
    });
    match ending.as_str() {
        // The guard is dropped on the way out.
        "return" | "json" => Ok(ExitCode::SUCCESS),
        "error" => Err("it went wrong".into()),
        "panic" => {
            let _panics = tracing::info_span!("panics").entered();
            Err(Box::<dyn Error>::from(panicking()))
        }
        // No destructor of `main` runs from here on.
        "forget" => {
            std::mem::forget(telemetry);
            Ok(ExitCode::SUCCESS)
        }
        "exit" => exit(7),
        "exit elsewhere" => match std::thread::spawn(|| exit(7)).join() {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(_) => Err("the thread panicked".into()),
        },
        "flush and exit" => {
            telemetry.flush(Duration::from_secs(20))?;
            exit(7)
        }
        other => Err(format!("no such ending: `{other}`").into()),
    }
}

fn panicking() -> String {
    let nothing: Option<&str> = std::env::args().nth(99).map(|_| "something");
    match nothing {
        Some(text) => text.to_owned(),
        None => panic!("on purpose"),
    }
}
