//! The watch over the runtime. It costs nothing while nothing happens: a connection that was used for one `/healthz`
//! stays open, and breaks in the moment in which the runtime ends.
//!
//! A server may also close it for being idle. Then the listening socket tells whether the same process is still there;
//! a server that never keeps a connection open is looked at once a second. One that knows no `/healthz` would give it to
//! the function: it is asked until it is up, and from then on only its socket is looked at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::agent::Agent;
use crate::client::{Backoff, Connection};
use crate::incarnation::Incarnation;
use crate::runtime::{self, Up};

/// At most one look at the runtime in this time.
const PACE: Duration = Duration::from_secs(1);
/// Between two looks at the socket alone, which cost the runtime nothing.
const SOCKET_PACE: Duration = Duration::from_millis(250);
/// How long one `/healthz` may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs as long as the agent.
pub async fn watch(agent: Arc<Agent>) {
    let address = agent.settings.runtime;
    loop {
        let up = wait_until_up(&agent).await;
        // Asked after it answered: an incarnation that is found now is the one that answered, or a later one, which
        // the connection's end then shows.
        let known = Incarnation::listening_on(address.port());
        agent.observe(|status, window| status.runtime_up(known.as_ref(), window));
        match known {
            Some(known) if !up.knows_health => {
                // Not held open either: a server of one thread would wait for a request on it.
                drop(up);
                socket_gone(address.port(), &known).await;
            }
            known => connection_gone(address, up.connection, known).await,
        }
        tracing::warn!("the runtime ended");
        agent.observe(|status, window| status.runtime_down(window));
    }
}

/// Returns when another process listens, or none.
async fn socket_gone(port: u16, known: &Incarnation) {
    while still_there(port, Some(known)) {
        sleep(SOCKET_PACE).await;
    }
}

/// Returns when the runtime at the other end of the connection has ended.
async fn connection_gone(address: SocketAddr, mut held: Connection, mut known: Option<Incarnation>) {
    loop {
        let looked = Instant::now();
        held.closed().await;
        if !still_there(address.port(), known.as_ref()) {
            return;
        }
        sleep_until(looked + PACE).await;
        if !still_there(address.port(), known.as_ref()) {
            return;
        }
        match timeout(PATIENCE, runtime::healthy(address)).await {
            Ok(Ok(up)) => held = up.connection,
            // Nobody listens under a kernel that does not show sockets: the connection is all there is to go by.
            Ok(Err(_)) if known.is_none() => return,
            // Busy, or it took the connection and ended: the next round tells.
            _ => match timeout(PATIENCE, Connection::open(address)).await {
                Ok(Ok(connection)) => held = connection,
                _ => return,
            },
        }
        known = Incarnation::listening_on(address.port()).or(known);
    }
}

/// Whether the process that was known still listens; unknown counts as yes.
fn still_there(port: u16, known: Option<&Incarnation>) -> bool {
    known.is_none_or(|known| Incarnation::listening_on(port).is_some_and(|now| now.is(known)))
}

async fn wait_until_up(agent: &Agent) -> Up {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    loop {
        if let Ok(Ok(up)) = timeout(PATIENCE, runtime::healthy(agent.settings.runtime)).await {
            return up;
        }
        backoff.pause().await;
    }
}
