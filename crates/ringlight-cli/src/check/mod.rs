//! `ringlight check`: whether what a backend has of a service is as an instrumentation map says.
//!
//! The backend is asked over its API ([`api`]), trace by trace, so that one trace is in memory at a time. Each is
//! held against the [`map`] ([`judge`]), and what was found is told name by name ([`report`]).

mod api;
mod judge;
mod map;
mod report;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringlight_app_harness::print_json_line;

use crate::config::CheckConfig;
use crate::console::{Console, cannot_print, print, window};
use crate::error::{CliError, Exit};

use api::{Api, Trace, encoded};
use judge::{Judged, judge};
use map::{Map, Problem};
use report::{Report, Totals, Verdict};

/// How long after the end of a span those around it may still be on their way: exporters send every few
/// seconds, OpenTelemetry's every five.
const ARRIVAL: Duration = Duration::from_secs(10);

/// How often a trace that is not as the map says is asked for again meanwhile.
const AGAIN: Duration = Duration::from_millis(500);

/// Traces the backend is asked for at a time.
const PAGE: u64 = 200;

/// How often the progress line is drawn.
const PROGRESS_TRACES: u64 = 25;

/// How many services are named where the one that was asked for has no spans.
const SERVICES_SHOWN_MAX: usize = 10;

pub(crate) async fn run(config: CheckConfig, console: Console) -> Result<ExitCode, CliError> {
    let mut map =
        Map::read(&config.map).map_err(|problems| tell(&config.map, problems, console))?;
    if config.service.is_some() {
        map.service = config.service;
    }
    let mut api = Api::new(config.backend);
    // Asked in any case, since it says whether a Ringlight answers.
    let run_id = api.status().await?.run_id;
    let from = match config.since {
        Some(since) => format!(
            "from={}",
            unix_nano().saturating_sub(since.as_nanos() as u64)
        ),
        None => format!("run={run_id}"),
    };
    let url = api.url();
    let mut walk = Walk {
        api: &mut api,
        map: &map,
        totals: Totals::new(&map),
        unsettled: Vec::new(),
        console,
    };
    let looked_at = walk.all(&from, config.traces_max).await;
    console.progress("");
    let left_out = looked_at?;
    let map_path = config.map.display().to_string();
    let report = walk.totals.report(map_path, url, left_out);
    if config.json {
        print_json_line(&report).map_err(cannot_print)?;
    } else {
        print(&report.as_text(window()))?;
    }
    if left_out {
        console.warning(&format!(
            "only the newest {} traces were looked at; `--limit` takes more",
            config.traces_max
        ));
    }
    if report.passed {
        return Ok(ExitCode::SUCCESS);
    }
    Err(failure(&report, &mut api, config.since.is_some()).await)
}

/// Looking at traces, one after the other.
struct Walk<'a> {
    api: &'a mut Api,
    map: &'a Map,
    totals: Totals<'a>,
    /// Traces that are not as the map says, though they may be soon.
    unsettled: Vec<String>,
    console: Console,
}

impl Walk<'_> {
    /// Looks at all traces, the newest first; true if there are more than that.
    async fn all(&mut self, from: &str, traces_max: u64) -> Result<bool, CliError> {
        let query = match &self.map.service {
            Some(service) => {
                let service = service.replace('\\', "\\\\").replace('"', "\\\"");
                encoded(&format!("{{ resource.service.name = \"{service}\" }}"))
            }
            None => String::new(),
        };
        let mut left = traces_max;
        let mut cursor = String::new();
        let left_out = loop {
            let limit = left.min(PAGE);
            let page = format!("{from}&limit={limit}&q={query}&cursor={cursor}");
            let page = self.api.traces(&page).await?;
            for found in &page.traces {
                if left.is_multiple_of(PROGRESS_TRACES) {
                    let count = traces_max - left;
                    self.console.progress(&format!("{count} traces looked at"));
                }
                self.look(&found.trace_id, false).await?;
                left = left.saturating_sub(1);
            }
            match page.next {
                Some(_) if left == 0 => break true,
                Some(next) => cursor = encoded(&next),
                None => break false,
            }
        };
        self.settle().await?;
        Ok(left_out)
    }

    /// Looks at a trace, and puts it off if it is too new to be judged.
    async fn look(&mut self, trace_id: &str, is_last: bool) -> Result<(), CliError> {
        let Some(answer) = self.api.trace(trace_id).await? else {
            return Ok(());
        };
        let trace: Trace<'_> = self.api.read(&answer)?;
        let judged = judge(self.map, &trace);
        if judged.has_faults() && !is_last && is_new(&judged) {
            self.unsettled.push(trace_id.to_owned());
        } else {
            self.totals.add(trace_id, judged);
        }
        Ok(())
    }

    /// Looks again at what was put off, for as long as spans may still arrive.
    async fn settle(&mut self) -> Result<(), CliError> {
        let deadline = Instant::now() + ARRIVAL;
        while !self.unsettled.is_empty() {
            let count = self.unsettled.len();
            self.console
                .progress(&format!("waiting for the rest of {count} traces"));
            tokio::time::sleep(AGAIN).await;
            let is_last = Instant::now() >= deadline;
            for trace_id in std::mem::take(&mut self.unsettled) {
                self.look(&trace_id, is_last).await?;
            }
        }
        Ok(())
    }
}

fn is_new(judged: &Judged) -> bool {
    let arrival = ARRIVAL.as_nanos() as u64;
    judged.last_end_unix_nano.saturating_add(arrival) > unix_nano()
}

/// Nanoseconds since 1970; until 2554.
fn unix_nano() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}

/// What is not as it should be, in one line, and what may be done about it.
async fn failure(report: &Report, api: &mut Api, is_since: bool) -> CliError {
    let farther = if is_since {
        "a longer `--since`"
    } else {
        "`--since 1d`, say,"
    };
    if report.span_count == 0 {
        let of = match &report.service {
            Some(service) => format!(" of the service `{service}`"),
            None => String::new(),
        };
        let when = if is_since {
            "in this time"
        } else {
            "since the backend started"
        };
        let known = api.services().await.unwrap_or_default();
        let shown = &known[..known.len().min(SERVICES_SHOWN_MAX)];
        let known = match shown.len() {
            0 => "no spans of any service are stored".to_owned(),
            _ => format!("there are spans of `{}` (`--service`)", shown.join("`, `")),
        };
        return CliError::new(Exit::Failure, format!("there are no spans{of} {when}"))
            .with_hint(format!("{known}; {farther} looks further back"));
    }
    let (missing, wrong) = (report.count(Verdict::Missing), report.count(Verdict::Wrong));
    let message = format!(
        "of the {} names of `{}` {missing} are missing and {wrong} are wrong",
        report.spans.len(),
        report.map
    );
    CliError::new(Exit::Failure, message).with_hint(if missing > 0 {
        format!(
            "was everything run, and is it recorded (`RUST_LOG`, sampling)? {farther} looks further back"
        )
    } else {
        "open the examples, then correct the program or the map".to_owned()
    })
}

/// Tells everything that is wrong with a map, and the last of it as the error.
fn tell(path: &Path, problems: Vec<Problem>, console: Console) -> CliError {
    let path = path.display();
    let mut errors: Vec<CliError> = problems
        .into_iter()
        .map(|problem| {
            let message = match problem.line {
                Some(line) => format!("{path}:{line}: {}", problem.message),
                None => format!("{path}: {}", problem.message),
            };
            CliError::new(Exit::Usage, message).with_hint(problem.hint)
        })
        .collect();
    let last = errors.pop();
    for error in &errors {
        console.error(error);
    }
    last.unwrap_or_else(|| CliError::new(Exit::Usage, format!("{path} cannot be used")))
}
