//! Windows of time.

/// Windows of one length next to each other, beginning at multiples of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    first_unix_nano: u64,
    step_nano: u64,
    count: usize,
}

impl Grid {
    /// The windows that hold the times from one to another, both included. How many there would be if
    /// they are too many.
    pub(crate) fn new(from: u64, to: u64, step: u64, count_max: usize) -> Result<Self, u64> {
        let step = step.max(1);
        let first = from / step * step;
        let count = (to.saturating_sub(first) / step).saturating_add(1);
        match usize::try_from(count) {
            Ok(windows) if windows <= count_max => Ok(Self {
                first_unix_nano: first,
                step_nano: step,
                count: windows,
            }),
            _ => Err(count),
        }
    }

    pub(crate) const fn first_unix_nano(&self) -> u64 {
        self.first_unix_nano
    }

    pub(crate) const fn step_seconds(&self) -> f64 {
        self.step_nano as f64 / 1e9
    }

    /// Where a window begins.
    pub(crate) const fn start_of(&self, window: usize) -> u64 {
        self.first_unix_nano + window as u64 * self.step_nano
    }

    /// The first time behind the last window.
    pub(crate) const fn end_unix_nano(&self) -> u64 {
        self.first_unix_nano
            .saturating_add((self.count as u64).saturating_mul(self.step_nano))
    }

    /// The window of a time, if there is one.
    pub(crate) fn window_of(&self, time: u64) -> Option<usize> {
        let window = time.checked_sub(self.first_unix_nano)? / self.step_nano;
        usize::try_from(window)
            .ok()
            .filter(|window| *window < self.count)
    }

    /// Spreads what happened between two times evenly: calls `each` with every window and its part. What
    /// happened at a moment is of one window.
    pub(crate) fn spread(&self, from: u64, to: u64, mut each: impl FnMut(usize, f64)) {
        if from >= to {
            if let Some(window) = self.window_of(to) {
                each(window, 1.0);
            }
            return;
        }
        let (first, last) = (from.max(self.first_unix_nano), to.min(self.end_unix_nano()));
        if first >= last {
            return;
        }
        let length = (to - from) as f64;
        let begin = (first - self.first_unix_nano) / self.step_nano;
        for window in begin as usize..self.count {
            let start = self.start_of(window);
            if start >= last {
                break;
            }
            let end = start.saturating_add(self.step_nano).min(last);
            let part = end.saturating_sub(start.max(first)) as f64 / length;
            if part > 0.0 {
                each(window, part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(grid: &Grid, from: u64, to: u64) -> Vec<(usize, f64)> {
        let mut parts = Vec::new();
        grid.spread(from, to, |window, part| parts.push((window, part)));
        parts
    }

    #[test]
    fn windows_begin_at_multiples_of_the_step() {
        let grid = Grid::new(25, 49, 10, 10).unwrap();
        assert_eq!(grid.count, 3);
        assert_eq!([0, 1, 2].map(|window| grid.start_of(window)), [20, 30, 40]);
        assert_eq!(grid.window_of(19), None);
        assert_eq!(grid.window_of(29), Some(0));
        assert_eq!(grid.window_of(30), Some(1));
        assert_eq!(grid.window_of(50), None);
        assert_eq!(Grid::new(0, 100, 1, 100).unwrap_err(), 101);
        assert_eq!(Grid::new(0, u64::MAX, 1, 100).unwrap_err(), u64::MAX);
    }

    #[test]
    fn what_took_time_is_spread_evenly_and_cut_at_the_ends() {
        let grid = Grid::new(20, 49, 10, 10).unwrap();
        assert_eq!(parts(&grid, 25, 35), [(0, 0.5), (1, 0.5)]);
        assert_eq!(parts(&grid, 30, 40), [(1, 1.0)]);
        assert_eq!(parts(&grid, 10, 30), [(0, 0.5)]);
        assert_eq!(parts(&grid, 45, 55), [(2, 0.5)]);
        assert_eq!(parts(&grid, 30, 30), [(1, 1.0)]);
        assert_eq!(parts(&grid, 0, 20), []);
        assert_eq!(parts(&grid, 50, 60), []);
        assert_eq!(parts(&grid, 60, 60), []);
    }
}
