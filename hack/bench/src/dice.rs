//! Chance that can be had again: everything random in a run comes from its seed.

/// A SplitMix64 generator. Our own few lines, because a library's may draw otherwise in its next version, and with it
/// the trace of a seed would be another.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice for one subject: the same seed gives each subject its own, whatever ran before.
    pub(crate) fn new(seed: u64, subject: &str) -> Self {
        let mut dice = Self(seed);
        for byte in subject.bytes() {
            dice.0 ^= u64::from(byte);
            dice.0 = dice.next();
        }
        dice
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly from 0 to below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.unit() * end as f64) as usize).min(end.saturating_sub(1))
    }

    /// The gap to the next event of a Poisson process of this rate.
    pub(crate) fn gap(&mut self, rate: f64) -> f64 {
        -(1.0 - self.unit()).ln() / rate
    }

    /// In random order.
    pub(crate) fn shuffled<T>(&mut self, mut values: Vec<T>) -> Vec<T> {
        for end in (1..values.len()).rev() {
            values.swap(end, self.below(end + 1));
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_all() {
        let draw = |seed, subject| Dice::new(seed, subject).shuffled((0..20).collect::<Vec<_>>());
        assert_eq!(draw(1, "warm"), draw(1, "warm"));
        assert_ne!(draw(1, "warm"), draw(2, "warm"));
        assert_ne!(draw(1, "warm"), draw(1, "cold"));
        let mut sorted = draw(1, "warm");
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn gaps_have_the_mean_of_their_rate() {
        let mut dice = Dice::new(7, "gaps");
        let mean = (0..20_000).map(|_| dice.gap(50.0)).sum::<f64>() / 20_000.0;
        assert!((mean - 0.02).abs() < 0.001, "{mean}");
    }
}
