//! The rows of the cold requests.

use std::collections::BTreeMap;

use super::{AFTER, PHASES, QUIET, RUNTIMES, Round};
use crate::row::Row;
use crate::samples::Samples;

pub(super) fn rows(rounds: &[Round]) -> Vec<Row> {
    let claims = together(rounds, |round| &round.claim);
    let claim = Row::new("cold.claim.p50", "ms", &each(rounds, |round| round.claim.median()))
        .note("B: the proxy's own patch, by its account, on a ready pod of a pool; nothing before or behind it");
    let mut rows = vec![claim.clone(), Row::once("cold.claim.p99", "ms", claims.quantile(0.99))];
    for (runtime, name) in RUNTIMES.iter().enumerate() {
        let all = together(rounds, |round| &round.cold[runtime]);
        let p50 = Row::new(format!("cold.{name}.p50"), "ms", &each(rounds, |round| round.cold[runtime].median()));
        let middle = Row::once(format!("cold.{name}.p50"), "ms", all.median());
        let p99 = Row::once(format!("cold.{name}.p99"), "ms", all.quantile(0.99)).against(&middle);
        let count = all.values().len();
        let p99 = p99.note(format!("of {count} functions, all rounds together"));
        if runtime == 0 {
            let p50 = p50.against(&claim).bar(2.0).stretch(0.5);
            rows.push(p50.note("a runtime that loads nothing: what is left is ours"));
            rows.push(p99.bar(2.0).stretch(1.5));
        } else {
            let p50 = p50.against(&claim).note("its code loaded: a function that says its name, as the samples do");
            rows.push(if *name == "python" { p50.bar(3.0) } else { p50 });
            rows.push(p99);
        }
        for (phase, title) in PHASES.iter().enumerate() {
            let mean = |round: &Round| round.phases[runtime][phase] * 1e3 / round.cold[runtime].values().len() as f64;
            rows.push(Row::new(format!("cold.{name}.phase.{title}"), "ms", &each(rounds, mean)));
        }
    }
    rows.extend(writes(rounds));
    rows
}

fn writes(rounds: &[Round]) -> [Row; 3] {
    let mut written: BTreeMap<&str, usize> = BTreeMap::new();
    for what in rounds.iter().flat_map(|round| &round.written) {
        *written.entry(what).or_default() += 1;
    }
    let requests: usize = rounds.iter().map(|round| round.before.values().len()).sum();
    let written: Vec<String> = written.into_iter().map(|(what, times)| format!("{times} × {what}")).collect();
    let written = if written.is_empty() { "nothing".to_owned() } else { written.join(", ") };
    [
        Row::new("cold.api-writes", "count", &each(rounds, |round| round.before.max())).bar(1.0).stretch(0.0).note(format!(
            "by Muon's accounts, received after the request was sent and answered before its reply; the most of each round; \
             nobody had written for {} ms before. All {requests} requests together: {written}",
            QUIET.as_millis()
        )),
        Row::new("cold.api-writes.after", "count", &each(rounds, |round| round.after.median()))
            .note(format!("by Muon's accounts, within {} s after the reply: the middle of each round", AFTER.as_secs())),
        Row::new("cold.api-writes.whole", "count", &each(rounds, |round| round.whole.median()))
            .note("by all accounts, until the pool is full again; without Events and Leases"),
    ]
}

/// A figure of every round.
fn each(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> Samples {
    Samples::from(rounds.iter().map(figure).collect::<Vec<_>>())
}

/// The samples of all rounds.
fn together(rounds: &[Round], of: impl Fn(&Round) -> &Samples) -> Samples {
    Samples::from(rounds.iter().flat_map(|round| of(round).values()).copied().collect::<Vec<_>>())
}
