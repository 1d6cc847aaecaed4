//! What the sample applications share: their common arguments, how they stop, how they start and
//! shut down telemetry, how they tell errors, and the line they print at the end.
//!
//! It guarantees that an application ends on a deadline and on SIGINT or SIGTERM, on a terminal on
//! SIGHUP too (or, if asked, when its standard input closes instead), that elsewhere SIGHUP has the file of settings read
//! again, and that telemetry is shut down before the
//! closing report is printed, so that the report's ledger is final.
//!
//! It must not know what an application does.
#![forbid(unsafe_code)]

mod causes;
mod duration;
mod report;
mod run;
mod settings;
mod stop;

pub use causes::with_causes;
pub use duration::{ParseDurationError, parse_duration};
pub use report::{AccountReport, Report, print_json_line};
pub use run::{RunArgs, run};
pub use stop::Stop;
