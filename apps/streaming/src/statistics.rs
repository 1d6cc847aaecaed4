//! Statistics over a moving window.

/// How many chunk means a window holds.
const WINDOW: usize = 32;

/// Mean and deviation of the last [`Window::CAPACITY`] values pushed.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    values: [f64; WINDOW],
    /// Where the next value goes, 0..CAPACITY.
    next: usize,
    /// How many values are held, 0..=CAPACITY.
    count: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            values: [0.0; WINDOW],
            next: 0,
            count: 0,
        }
    }
}

impl Window {
    /// How many values the window holds at most.
    pub const CAPACITY: usize = WINDOW;

    /// Adds a value; the oldest leaves when the window is full.
    pub fn push(&mut self, value: f64) {
        self.values[self.next] = value;
        self.next = (self.next + 1) % WINDOW;
        self.count = (self.count + 1).min(WINDOW);
    }

    /// The mean, 0 while empty.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        self.held().iter().sum::<f64>() / self.count as f64
    }

    /// The standard deviation, 0 while empty.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let mean = self.mean();
        let squares: f64 = self.held().iter().map(|value| (value - mean).powi(2)).sum();
        (squares / self.count as f64).sqrt()
    }

    /// How many deviations `value` lies from the mean; `None` until the window is half full, since
    /// a few values say nothing.
    #[must_use]
    pub fn score(&self, value: f64) -> Option<f64> {
        if self.count < WINDOW / 2 {
            return None;
        }
        Some((value - self.mean()).abs() / self.deviation().max(1.0))
    }

    fn held(&self) -> &[f64] {
        &self.values[..self.count]
    }
}

/// A value with two digits behind the point, for people to read.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_value_leaves_a_full_window() {
        let mut window = Window::default();
        window.push(1_000_000.0);
        for _ in 0..Window::CAPACITY {
            window.push(5.0);
        }
        assert_eq!(window.mean(), 5.0);
        assert_eq!(window.deviation(), 0.0);
    }

    #[test]
    fn a_score_needs_half_a_window() {
        let mut window = Window::default();
        assert_eq!(window.mean(), 0.0);
        for index in 0..Window::CAPACITY / 2 {
            assert_eq!(window.score(10.0), None, "after {index}");
            window.push(if index % 2 == 0 { 10.0 } else { 14.0 });
        }
        let score = window.score(22.0).unwrap();
        assert!((score - 5.0).abs() < 1e-9, "{score}");
    }
}
