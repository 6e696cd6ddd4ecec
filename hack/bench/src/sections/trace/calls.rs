//! An invocation trace in the shape of Azure Functions' of 2021: most functions are hardly ever called, few make most of
//! the calls, durations have a long tail.
//!
//! The shape is that of a published slice (Azure's invocation trace of 2021 as sampled by In-Vitro: 199 calls of 31
//! functions in 1,260 s, 9 of them called once, the busiest tenth making 43 % of the calls, half of the calls within
//! 1.6 s) of a trace of 424 functions. Rates are log-normal, wide enough that about as few of the 424 are called; calls of one
//! function come at random; durations are log-normal around the published median, their spread is our choice.

use std::f64::consts::TAU;

use crate::dice::Dice;

/// Functions of the whole trace.
pub(super) const FUNCTIONS: usize = 424;
/// Calls a second, of all functions together.
const RATE: f64 = 199.0 / 1260.0;
/// Spread of the rates: the logarithm's standard deviation.
const RATE_SPREAD: f64 = 3.0;
/// The middle duration in seconds, its spread, and the longest.
const DURATION: (f64, f64, f64) = (1.6, 1.2, 60.0);

/// One call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Call {
    /// When it is due, in seconds of the trace.
    pub(super) at: f64,
    /// Which function is called.
    pub(super) function: usize,
    /// How long the function works, in seconds of the trace.
    pub(super) duration: f64,
}

/// The calls of a slice of so many functions and so many seconds, in their order.
pub(super) fn calls(mut dice: Dice, functions: usize, seconds: f64) -> Vec<Call> {
    let weights: Vec<f64> = (0..functions).map(|_| (RATE_SPREAD * normal(&mut dice)).exp()).collect();
    let rate = RATE * functions as f64 / FUNCTIONS as f64 / weights.iter().sum::<f64>();
    let mut calls = Vec::new();
    for (function, weight) in weights.iter().enumerate() {
        let mut at = dice.gap(rate * weight);
        while at < seconds {
            let duration = (DURATION.0 * (DURATION.1 * normal(&mut dice)).exp()).min(DURATION.2);
            calls.push(Call { at, function, duration });
            at += dice.gap(rate * weight);
        }
    }
    calls.sort_by(|one, other| one.at.total_cmp(&other.at));
    calls
}

/// From the standard normal distribution, by Box and Muller.
fn normal(dice: &mut Dice) -> f64 {
    (-2.0 * (1.0 - dice.unit()).ln()).sqrt() * (TAU * dice.unit()).cos()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_shape_is_the_published_one() {
        let (mut called, mut once, mut top, mut all) = (0.0, 0.0, 0.0, 0.0);
        let seeds = 50;
        for seed in 0..seeds {
            let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
            for call in calls(Dice::new(seed, "trace"), FUNCTIONS, 1260.0) {
                *counts.entry(call.function).or_default() += 1.0;
            }
            let mut counts: Vec<f64> = counts.into_values().collect();
            counts.sort_by(|one, other| other.total_cmp(one));
            called += counts.len() as f64;
            once += counts.iter().filter(|count| **count == 1.0).count() as f64;
            top += counts.iter().take(counts.len().div_ceil(10)).sum::<f64>();
            all += counts.iter().sum::<f64>();
        }
        let seeds = seeds as f64;
        assert!((150.0..250.0).contains(&(all / seeds)), "{} calls", all / seeds);
        assert!((25.0..60.0).contains(&(called / seeds)), "{} functions of 424 are called", called / seeds);
        assert!((9.0..30.0).contains(&(once / seeds)), "{} of them once", once / seeds);
        assert!((0.4..0.75).contains(&(top / all)), "the busiest tenth makes {} of the calls", top / all);
    }

    #[test]
    fn a_seed_gives_one_trace() {
        assert_eq!(calls(Dice::new(3, "trace"), 50, 600.0), calls(Dice::new(3, "trace"), 50, 600.0));
    }
}
