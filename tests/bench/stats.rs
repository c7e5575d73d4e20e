//! Samples, and what is said of them.

/// Values of one kind, in the order in which they were taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    taken: Vec<f64>,
    sorted: Vec<f64>,
}

impl Samples {
    pub(crate) fn new(taken: Vec<f64>) -> Self {
        let mut sorted = taken.clone();
        sorted.sort_by(f64::total_cmp);
        Self { taken, sorted }
    }

    pub(crate) fn count(&self) -> usize {
        self.taken.len()
    }

    pub(crate) fn taken(&self) -> &[f64] {
        &self.taken
    }

    /// By nearest rank; not a number where there are no samples.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.sorted.len() as f64).ceil() as usize;
        self.sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// The middle one, or the mean of the two.
    pub(crate) fn median(&self) -> f64 {
        let half = self.sorted.len() / 2;
        match self.sorted.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => f64::midpoint(self.sorted[half - 1], self.sorted[half]),
            _ => self.sorted[half],
        }
    }

    pub(crate) fn max(&self) -> f64 {
        self.percentile(100.0)
    }

    /// `p50 1.2 · p90 1.5 · p99 2.1 · max 3.0 ms of 500, 1.0 ▂█▃▁ 3.0`
    pub(crate) fn line(&self, unit: &str) -> String {
        let [p50, p90, p99, max] = [50.0, 90.0, 99.0, 100.0].map(|percent| figure(self.percentile(percent)));
        let n = self.count();
        format!("p50 {p50} · p90 {p90} · p99 {p99} · max {max} {unit} of {n}: {}", self.histogram())
    }

    /// Twenty-four equal steps on a logarithmic scale from the least to the largest value.
    fn histogram(&self) -> String {
        const STEPS: usize = 24;
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let (Some(&low), Some(&high)) = (self.sorted.iter().find(|value| **value > 0.0), self.sorted.last())
        else {
            return String::new();
        };
        let width = ((high / low).ln() / STEPS as f64).max(1e-9);
        let mut steps = [0usize; STEPS];
        for value in &self.sorted {
            let step = ((value.max(low) / low).ln() / width) as usize;
            steps[step.min(STEPS - 1)] += 1;
        }
        let most = steps.iter().copied().max().unwrap_or(1).max(1);
        let bar = |count: usize| BARS[(count * 8).div_ceil(most)];
        format!("{} `{}` {}", figure(low), steps.map(bar).iter().collect::<String>(), figure(high))
    }
}

/// Three significant digits, without exponents.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        0.0 => 0,
        _ => 4,
    };
    format!("{value:.digits$}")
}

/// SplitMix64: chance that a seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// In `low..high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low).max(1)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.between(0, last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_and_the_line_says_them() {
        let samples = Samples::new((1..=100).rev().map(f64::from).collect());
        let [p50, p99, max] = [50.0, 99.0, 100.0].map(|percent| samples.percentile(percent));
        assert!((p50 - 50.0).abs() < 1e-9 && (p99 - 99.0).abs() < 1e-9 && (max - 100.0).abs() < 1e-9);
        assert!((samples.median() - 50.5).abs() < 1e-9);
        assert!(samples.line("ms").starts_with("p50 50.0 · p90 90.0 · p99 99.0 · max 100 ms of 100: 1.00 `"));
        assert!(Samples::default().percentile(50.0).is_nan());
    }

    #[test]
    fn figures_keep_three_digits() {
        let shown: Vec<String> = [0.0, 0.012_345, 0.5, 1.234, 12.34, 1234.5].map(figure).into();
        assert_eq!(shown, ["0", "0.0123", "0.500", "1.23", "12.3", "1234"]);
    }
}
