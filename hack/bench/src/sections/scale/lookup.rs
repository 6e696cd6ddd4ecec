//! How long the proxies' table takes to find a route, with few triggers and with many.

use std::hint::black_box;
use std::time::Instant;

use muon_crds::HTTPTrigger;
use muon_routes::{Book, ClusterName, Event, Listener, Outcome};

use super::objects;

/// Requests of one round; each for another trigger, in no order that a processor could foresee.
const LOOKUPS: usize = 200_000;
/// Rounds, so that what else the machine does shows itself.
const ROUNDS: usize = 5;

/// Microseconds a lookup took, round by round, with so many triggers.
pub(super) fn measure(triggers: usize) -> Vec<f64> {
    let mut book = Book::new(ClusterName::default());
    for number in 0..triggers {
        let mut object = objects::trigger(number);
        object["metadata"]["namespace"] = objects::space(number).into();
        if let Ok(trigger) = serde_json::from_value::<HTTPTrigger>(object) {
            book.trigger(Event::Apply(trigger));
        }
    }
    let table = book.table();
    // As many different requests as there are triggers would measure the text's own cache misses: a bound.
    let asked = triggers.min(20_000);
    let step = triggers / asked;
    let requests: Vec<(String, String)> = (0..asked)
        .map(|at| (at * 7919) % asked * step)
        .map(|number| (format!("{}.example.com", objects::name(number)), format!("/orders/{number}/7")))
        .collect();
    let round = || {
        let started = Instant::now();
        let mut found = 0usize;
        for (host, path) in requests.iter().cycle().take(LOOKUPS) {
            let outcome = table.route(Listener::Gateway, black_box(host), "GET", black_box(path));
            found += usize::from(matches!(outcome, Outcome::Found(_)));
        }
        assert_eq!(black_box(found), LOOKUPS, "every request has its route");
        started.elapsed().as_secs_f64() * 1e6 / LOOKUPS as f64
    };
    (0..ROUNDS).map(|_| round()).collect()
}
