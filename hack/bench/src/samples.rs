//! Samples of one quantity, and what is said of them.

use std::time::Duration;

/// Measured values in one unit, in the order in which they were taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl From<Vec<f64>> for Samples {
    fn from(values: Vec<f64>) -> Self {
        Self(values)
    }
}

impl Samples {
    /// Adds a duration, in milliseconds.
    pub(crate) fn push_ms(&mut self, duration: Duration) {
        self.0.push(duration.as_secs_f64() * 1e3);
    }

    /// Adds a value as it is.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The values, as they were taken.
    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }

    /// The value below which the share `q` (0 to 1) of the samples lies, nearest rank; NaN without samples.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Smallest value.
    pub(crate) fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    /// Largest value.
    pub(crate) fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// The difference to another's values, one by one.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(mine, theirs)| mine - theirs).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        assert!(Samples::default().median().is_nan());
        let samples = Samples::from(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(samples.median(), 3.0);
        assert_eq!(samples.quantile(0.99), 5.0);
        assert_eq!((samples.min(), samples.max()), (1.0, 5.0));
        assert_eq!(samples.minus(&samples).values(), [0.0; 5]);
    }
}
