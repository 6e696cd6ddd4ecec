//! One figure, what it is held against, and what may be said of it.

use serde::{Deserialize, Serialize};

use crate::samples::Samples;

/// One figure: the median of its rounds, with the smallest and the largest.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was measured, e.g. `cold.native.p50`.
    pub(crate) id: String,
    /// Unit of the figure.
    pub(crate) unit: String,
    /// The median of the rounds.
    pub(crate) value: f64,
    /// The smallest round.
    pub(crate) min: f64,
    /// The largest round.
    pub(crate) max: f64,
    /// The figure of every round, in their order.
    pub(crate) rounds: Vec<f64>,
    /// Whether more is better, as with requests a second.
    pub(crate) more_is_better: bool,
    /// What it is held against.
    pub(crate) against: Option<Against>,
    /// What must be reached.
    pub(crate) bar: Option<Bar>,
    /// What would be better still.
    pub(crate) stretch: Option<Bar>,
    /// What a reader must know to read it right.
    pub(crate) note: String,
}

/// Another figure of the same rounds.
#[derive(Clone, Debug)]
pub(crate) struct Against {
    /// Which.
    pub(crate) id: String,
    /// This figure divided by that one: the median of the rounds' ratios. None where noise has made the other zero or
    /// negative, as happens to small differences.
    pub(crate) ratio: Option<f64>,
    /// The other's figure of every round.
    pub(crate) rounds: Vec<f64>,
}

/// A limit and whether it is kept.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    /// Of the ratio where there is one to be, of the figure otherwise.
    pub(crate) limit: f64,
    /// What the rounds say.
    pub(crate) verdict: Verdict,
}

/// What may be said: something only where all rounds say the same.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Every round keeps the limit.
    Met,
    /// No round does.
    Missed,
    /// Some do: the ranges overlap, and the figures do not decide it.
    None,
}

impl Row {
    /// A figure by its rounds.
    pub(crate) fn new(id: impl Into<String>, unit: &str, rounds: &Samples) -> Self {
        Self {
            id: id.into(),
            unit: unit.into(),
            value: rounds.median(),
            min: rounds.min(),
            max: rounds.max(),
            rounds: rounds.values().to_vec(),
            more_is_better: false,
            against: None,
            bar: None,
            stretch: None,
            note: String::new(),
        }
    }

    /// A figure that was measured once.
    pub(crate) fn once(id: impl Into<String>, unit: &str, value: f64) -> Self {
        Self::new(id, unit, &Samples::from(vec![value]))
    }

    /// More is better; the bars are what it must be at least.
    pub(crate) fn more_is_better(mut self) -> Self {
        self.more_is_better = true;
        self
    }

    /// Holds it against another figure, round by round; the bars that follow are of the ratio.
    pub(crate) fn against(mut self, other: &Self) -> Self {
        let mut ratios = Samples::default();
        for (mine, theirs) in self.rounds.iter().zip(&other.rounds) {
            if *theirs > 0.0 {
                ratios.push(mine / theirs);
            }
        }
        let ratio = (!ratios.values().is_empty() && other.value > 0.0).then(|| ratios.median());
        self.against = Some(Against { id: other.id.clone(), ratio, rounds: other.rounds.clone() });
        self
    }

    /// What must be reached.
    pub(crate) fn bar(mut self, limit: f64) -> Self {
        self.bar = Some(Bar { limit, verdict: self.verdict(limit) });
        self
    }

    /// What would be better still.
    pub(crate) fn stretch(mut self, limit: f64) -> Self {
        self.stretch = Some(Bar { limit, verdict: self.verdict(limit) });
        self
    }

    /// Says what must be known to read it right.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Each round by itself: its figure against the limit, times what it is held against. So a difference that noise
    /// has made negative needs no division, and a round that was slow for all is slow on both sides.
    fn verdict(&self, limit: f64) -> Verdict {
        let kept: Vec<bool> = self
            .rounds
            .iter()
            .enumerate()
            .map(|(round, value)| {
                let limit = match &self.against {
                    Some(against) => against.rounds.get(round).map_or(f64::NAN, |other| limit * other),
                    None => limit,
                };
                if self.more_is_better { *value >= limit } else { *value <= limit }
            })
            .collect();
        match (kept.iter().all(|kept| *kept), kept.iter().any(|kept| *kept)) {
            (true, true) => Verdict::Met,
            (_, false) => Verdict::Missed,
            _ => Verdict::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rounds: &[f64]) -> Row {
        Row::new("row", "ms", &Samples::from(rounds.to_vec()))
    }

    fn verdict(row: &Row) -> Verdict {
        row.bar.as_ref().unwrap().verdict
    }

    #[test]
    fn rounds_that_disagree_are_no_verdict() {
        assert_eq!(verdict(&row(&[1.0, 1.5]).bar(2.0)), Verdict::Met);
        assert_eq!(verdict(&row(&[2.1, 2.5]).bar(2.0)), Verdict::Missed);
        assert_eq!(verdict(&row(&[1.9, 2.5]).bar(2.0)), Verdict::None);
    }

    #[test]
    fn a_round_is_held_against_its_own() {
        // Twice as slow in the second round, both of them: still the same ratio.
        let held = row(&[1.0, 2.0]).against(&row(&[1.0, 2.0])).bar(1.1);
        assert_eq!((held.against.as_ref().unwrap().ratio, verdict(&held)), (Some(1.0), Verdict::Met));
    }

    #[test]
    fn a_difference_below_zero_has_no_ratio() {
        let held = row(&[0.1, 0.1]).against(&row(&[-0.1, -0.2])).bar(1.1);
        assert_eq!((held.against.as_ref().unwrap().ratio, verdict(&held)), (None, Verdict::Missed));
        assert_eq!(verdict(&row(&[-0.3, -0.4]).against(&row(&[-0.1, -0.2])).bar(1.1)), Verdict::Met);
    }

    #[test]
    fn what_could_not_be_computed_is_not_met() {
        assert_eq!(verdict(&row(&[f64::NAN]).bar(1.0)), Verdict::Missed);
        assert_eq!(verdict(&row(&[]).bar(1.0)), Verdict::Missed);
        assert_eq!(verdict(&row(&[1.0, 1.0]).against(&row(&[1.0])).bar(1.0)), Verdict::None);
    }

    #[test]
    fn more_may_be_better() {
        assert_eq!(verdict(&row(&[95.0]).more_is_better().bar(90.0)), Verdict::Met);
        assert_eq!(verdict(&row(&[85.0]).more_is_better().bar(90.0)), Verdict::Missed);
    }
}
