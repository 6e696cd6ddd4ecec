//! Samples of one quantity, and what is said of them.

use std::time::Duration;

/// Measured values in one unit, in the order in which they were taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds a duration, in milliseconds.
    pub(crate) fn push_ms(&mut self, duration: Duration) {
        self.0.push(duration.as_secs_f64() * 1e3);
    }

    /// Adds a value as it is.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Adds another's values.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The values, as they were taken.
    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }

    /// The value below which the share `q` (0 to 1) of the samples lies, nearest rank; none without samples.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
        sorted.get(rank - 1).copied()
    }

    /// Smallest value.
    pub(crate) fn min(&self) -> Option<f64> {
        self.0.iter().copied().min_by(f64::total_cmp)
    }

    /// Largest value.
    pub(crate) fn max(&self) -> Option<f64> {
        self.0.iter().copied().max_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let mut samples = Samples::default();
        assert_eq!(samples.quantile(0.5), None);
        for value in [5.0, 1.0, 3.0, 2.0, 4.0] {
            samples.push(value);
        }
        assert_eq!(samples.quantile(0.5), Some(3.0));
        assert_eq!(samples.quantile(0.99), Some(5.0));
        assert_eq!(samples.quantile(0.0), Some(1.0));
        assert_eq!((samples.min(), samples.max()), (Some(1.0), Some(5.0)));
    }
}
