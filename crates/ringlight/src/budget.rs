//! A budget for what observing costs, and what keeps it.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use ringlight_collector::{Governor, Notices};
use ringlight_model::CostSnapshot;

use crate::controls;
use crate::sync::unpoisoned;

/// The part of the process's CPU time that observing may take.
///
/// What is compared with it is what telemetry measures of itself, every second: the time that recording
/// takes on the application's threads and the CPU time of the collector's, as a part of the CPU time of
/// the whole process. A second in which the process used less than a tenth of a second of it is not
/// judged.
///
/// After a second over the budget, half as many traces are recorded, of those that begin here and that
/// sampler and rules would take, or fewer where it took four times the budget and more; after another one
/// fewer again, down to one in 128. After five seconds in a row at less than two fifths of the budget,
/// twice as many again. A trace is recorded as a whole or not at all, as with any
/// [`Sampler`](crate::Sampler), and traces that began elsewhere are left to what was decided there. A
/// person is told when it begins, when one in 128 is still too much, and when it is over;
/// [`Telemetry::cost`](crate::Telemetry::cost) says how it stands.
///
/// ```
/// use ringlight::OverheadBudget;
///
/// let budget: OverheadBudget = "2%".parse()?;
/// assert_eq!(budget, OverheadBudget::percent(2.0));
/// let _telemetry = ringlight::builder().overhead_budget(budget).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverheadBudget {
    /// More than 0, 1 at most.
    ratio: f64,
}

const PERCENT_MIN: f64 = 0.01;
const PERCENT_MAX: f64 = 100.0;

impl OverheadBudget {
    /// So many hundredths of the process's CPU time: what is below 0.01 counts as 0.01, what is above
    /// 100, or no number, as 100.
    #[must_use]
    pub const fn percent(percent: f64) -> Self {
        let percent = if percent.is_nan() {
            PERCENT_MAX
        } else {
            percent
        };
        Self {
            ratio: percent.clamp(PERCENT_MIN, PERCENT_MAX) / 100.0,
        }
    }

    /// As a part of the whole, from 0 to 1.
    #[must_use]
    pub const fn ratio(self) -> f64 {
        self.ratio
    }
}

/// As it is read: `2%`.
impl fmt::Display for OverheadBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, since the ratio has what a hundredth leaves.
        write!(f, "{}%", (self.ratio * 1e6).round() / 1e4)
    }
}

/// A text is not a budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no budget, allowed is a percentage from `0.01%` to `100%`")]
pub struct BudgetError {
    /// The text.
    pub text: String,
}

/// A percentage with its sign: `2%`, `0.5 %`.
impl FromStr for OverheadBudget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let number = text.trim().strip_suffix('%').map(str::trim_end);
        number
            .and_then(|number| number.parse().ok())
            .filter(|percent| (PERCENT_MIN..=PERCENT_MAX).contains(percent))
            .map(Self::percent)
            .ok_or_else(|| BudgetError {
                text: text.to_owned(),
            })
    }
}

/// What is recorded at the least: one trace in two to this power.
const LEVEL_MAX: i32 = 7;
/// What is judged: at least so much time, in which the process used at least so much CPU time, which the Health page says,
/// too (`web/src/lib/cost.ts`).
const WINDOW_SECONDS: f64 = 1.0;
const BUSY_SECONDS: f64 = 0.1;
/// Windows in a row below this part of the budget, until more is recorded. Twice as many traces cost
/// twice as much at most, which then is still below it.
const CALM_PART: f64 = 0.4;
const CALM_WINDOWS: u32 = 5;

/// What there is to say to a person.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    /// The budget was exceeded, by this part of the process's CPU time, and less is recorded.
    Exceeded(f64),
    /// It is exceeded though as little as possible is recorded.
    CannotHold(f64),
    /// All is recorded again.
    Recovered,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |ratio: f64| ratio * 100.0;
        match self {
            Self::Exceeded(ratio) => write!(
                f,
                "telemetry takes {:.1} % of the process's CPU time, more than its budget: fewer traces are \
                 recorded until it takes less",
                percent(*ratio)
            ),
            Self::CannotHold(ratio) => write!(
                f,
                "telemetry takes {:.1} % of the process's CPU time, more than its budget, though only one \
                 trace in {} is recorded; hint: what is left are log records, traces that began elsewhere, \
                 or traces that do not end",
                percent(*ratio),
                2_u32.pow(LEVEL_MAX.unsigned_abs())
            ),
            Self::Recovered => {
                f.write_str("telemetry is within its budget: all traces are recorded again")
            }
        }
    }
}

/// Which part of the traces is recorded, by what observing costs.
#[derive(Debug)]
struct Controller {
    budget: OverheadBudget,
    /// One trace in two to this power is recorded.
    level: i32,
    calm_windows: u32,
    told_cannot_hold: bool,
    window_start: CostSnapshot,
}

impl Controller {
    fn new(budget: OverheadBudget) -> Self {
        Self {
            budget,
            level: 0,
            calm_windows: 0,
            told_cannot_hold: false,
            window_start: CostSnapshot::default(),
        }
    }

    fn ratio(&self) -> f64 {
        0.5_f64.powi(self.level)
    }

    fn look(&mut self, cost: &CostSnapshot) -> Option<Said> {
        let start = std::mem::replace(&mut self.window_start, *cost);
        let elapsed = cost.elapsed.saturating_sub(start.elapsed);
        if elapsed.as_secs_f64() < WINDOW_SECONDS {
            self.window_start = start;
            return None;
        }
        let used = cost.process_time.saturating_sub(start.process_time);
        let is_busy = used.as_secs_f64() >= BUSY_SECONDS;
        let share = cost.process_ratio(&start);
        if is_busy && share > self.budget.ratio {
            return self.exceeded(share);
        }
        let is_calm = !is_busy || share < self.budget.ratio * CALM_PART;
        self.calm_windows = if is_calm { self.calm_windows + 1 } else { 0 };
        if self.level == 0 || self.calm_windows < CALM_WINDOWS {
            return None;
        }
        self.calm_windows = 0;
        self.level -= 1;
        let is_over = self.level == 0;
        self.told_cannot_hold &= !is_over;
        is_over.then_some(Said::Recovered)
    }

    /// How often to halve what is recorded: as often as fits into the excess, since not all of the cost
    /// goes with the traces, and recovering takes longer than another step.
    fn steps_down(&self, share: f64) -> i32 {
        let excess = (share / self.budget.ratio).log2().floor();
        (excess as i32).clamp(1, LEVEL_MAX)
    }

    fn exceeded(&mut self, share: f64) -> Option<Said> {
        self.calm_windows = 0;
        if self.level < LEVEL_MAX {
            let is_news = self.level == 0;
            self.level = (self.level + self.steps_down(share)).min(LEVEL_MAX);
            return is_news.then_some(Said::Exceeded(share));
        }
        let is_news = !std::mem::replace(&mut self.told_cannot_hold, true);
        is_news.then_some(Said::CannotHold(share))
    }
}

/// Keeps a budget by what the recording goes by.
pub(crate) fn governor(
    budget: OverheadBudget,
    controls: Arc<controls::Shared>,
    notices: Notices,
) -> Governor {
    let controller = Mutex::new(Controller::new(budget));
    Governor::new(budget.ratio, move |cost| {
        let mut controller = unpoisoned(controller.lock());
        let before = controller.level;
        let said = controller.look(cost);
        let ratio = controller.ratio();
        if controller.level != before {
            controls.sampling.set_part(ratio);
        }
        drop(controller);
        if let Some(said) = said {
            crate::notice::of_recording(&notices, said);
        }
        ratio
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A process that uses CPU time as it is told.
    struct Rig {
        controller: Controller,
        cost: CostSnapshot,
    }

    impl Rig {
        fn new(budget: &str) -> Self {
            Self {
                controller: Controller::new(budget.parse().unwrap()),
                cost: CostSnapshot::default(),
            }
        }

        /// A second in which the process uses so many milliseconds, of which observing takes so many.
        fn second(&mut self, process_ms: u64, overhead_ms: u64) -> (i32, Option<Said>) {
            self.cost.elapsed += Duration::from_secs(1);
            self.cost.process_time += Duration::from_millis(process_ms);
            self.cost.collector_time += Duration::from_millis(overhead_ms);
            let said = self.controller.look(&self.cost);
            (self.controller.level, said)
        }
    }

    #[test]
    fn a_budget_is_a_percentage() {
        let check = |text: &str, expected: Option<f64>| {
            let budget: Result<OverheadBudget, _> = text.parse();
            let ratio = budget.ok().map(OverheadBudget::ratio);
            assert_eq!(ratio, expected, "{text}");
        };
        check("2%", Some(0.02));
        check(" 0.5 % ", Some(0.005));
        check("100%", Some(1.0));
        for bad in ["", "2", "%", "0%", "-1%", "101%", "NaN%", "two%"] {
            check(bad, None);
        }
        let error = "2".parse::<OverheadBudget>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`2` is no budget, allowed is a percentage from `0.01%` to `100%`"
        );
        assert_eq!(OverheadBudget::percent(f64::NAN).ratio(), 1.0);
        assert_eq!(OverheadBudget::percent(0.0).ratio(), 0.0001);
    }

    #[test]
    fn within_the_budget_nothing_changes() {
        let mut rig = Rig::new("2%");
        for _ in 0..100 {
            assert_eq!(rig.second(1_000, 20), (0, None));
        }
    }

    #[test]
    fn over_the_budget_less_is_recorded_step_by_step_down_to_the_floor() {
        let mut rig = Rig::new("2%");
        let Rig { controller, .. } = &rig;
        assert_eq!(controller.ratio(), 1.0);
        assert_eq!(rig.second(1_000, 50), (1, Some(Said::Exceeded(0.05))));
        for level in 2..=LEVEL_MAX {
            assert_eq!(rig.second(1_000, 50), (level, None));
        }
        assert_eq!(rig.controller.ratio(), 1.0 / 128.0);
        assert_eq!(
            rig.second(1_000, 50),
            (LEVEL_MAX, Some(Said::CannotHold(0.05)))
        );
        assert_eq!(rig.second(1_000, 50), (LEVEL_MAX, None));
    }

    #[test]
    fn what_exceeds_the_budget_many_times_is_lowered_at_once() {
        for (overhead_ms, level) in [(39, 1), (79, 1), (80, 2), (320, 4), (920, 5)] {
            let mut rig = Rig::new("2%");
            let share = overhead_ms as f64 / 1e3;
            assert_eq!(
                rig.second(1_000, overhead_ms),
                (level, Some(Said::Exceeded(share)))
            );
        }
        let mut rig = Rig::new("0.01%");
        assert_eq!(
            rig.second(1_000, 900),
            (LEVEL_MAX, Some(Said::Exceeded(0.9)))
        );
    }

    #[test]
    fn it_recovers_slowly_and_only_with_room_to_spare() {
        let mut rig = Rig::new("2%");
        rig.second(1_000, 50);
        rig.second(1_000, 50);
        // Within the budget, but twice as much would not be.
        for _ in 0..20 {
            assert_eq!(rig.second(1_000, 12), (2, None));
        }
        for _ in 1..CALM_WINDOWS {
            assert_eq!(rig.second(1_000, 7), (2, None));
        }
        // In a row.
        assert_eq!(rig.second(1_000, 12), (2, None));
        for _ in 1..CALM_WINDOWS {
            assert_eq!(rig.second(1_000, 7), (2, None));
        }
        assert_eq!(rig.second(1_000, 7), (1, None));
        for _ in 1..CALM_WINDOWS {
            assert_eq!(rig.second(1_000, 7), (1, None));
        }
        assert_eq!(rig.second(1_000, 7), (0, Some(Said::Recovered)));
        // And may be exceeded again, which is news.
        assert_eq!(rig.second(1_000, 50), (1, Some(Said::Exceeded(0.05))));
    }

    #[test]
    fn a_process_that_does_little_is_not_judged_but_recovers() {
        let mut rig = Rig::new("2%");
        for _ in 0..10 {
            assert_eq!(rig.second(50, 40), (0, None));
        }
        rig.second(1_000, 50);
        for _ in 1..CALM_WINDOWS {
            assert_eq!(rig.second(0, 0), (1, None));
        }
        assert_eq!(rig.second(50, 40), (0, Some(Said::Recovered)));
    }

    #[test]
    fn looks_that_come_early_are_put_together() {
        let mut rig = Rig::new("2%");
        for _ in 0..3 {
            rig.cost.elapsed += Duration::from_millis(300);
            rig.cost.process_time += Duration::from_millis(300);
            rig.cost.collector_time += Duration::from_millis(30);
            assert_eq!(rig.controller.look(&rig.cost), None);
        }
        let (level, said) = rig.second(100, 0);
        assert_eq!(level, 2);
        let Some(Said::Exceeded(share)) = said else {
            panic!("{said:?}");
        };
        assert!((share - 0.09).abs() < 1e-9, "{share}");
    }
}
