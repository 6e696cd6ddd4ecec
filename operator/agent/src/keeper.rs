//! Loads without being asked: the template's load at start, and what was accepted after a crash of runtime or agent.

use std::sync::Arc;
use std::time::Duration;

use crate::agent::Agent;
use crate::client::Backoff;
use crate::status::Phase;

/// Runs as long as the agent.
pub async fn keep(agent: Arc<Agent>) {
    let mut status = agent.watch();
    let mut backoff = new_backoff();
    loop {
        let ready =
            status.wait_for(|status| status.wanted && !status.draining && !matches!(status.phase, Phase::Loading(_)));
        if ready.await.is_err() {
            return;
        }
        if agent.load_again().await {
            backoff = new_backoff();
        } else {
            backoff.pause().await;
        }
    }
}

fn new_backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5))
}
