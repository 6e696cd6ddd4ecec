//! The least pace at which a client is waited for: so many bytes in each window of time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// What must move while somebody waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) window: Duration,
    /// Bytes in each window.
    pub(crate) least: u64,
}

/// Holds one direction of a connection to its pace. The clock runs from the first wait until it is stopped.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    /// Bytes in this window.
    moved: u64,
    window: Option<Pin<Box<Sleep>>>,
}

impl Pacer {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, moved: 0, window: None }
    }

    /// Whether the clock runs.
    pub(crate) fn is_running(&self) -> bool {
        self.window.is_some()
    }

    pub(crate) fn moved(&mut self, bytes: u64) {
        self.moved += bytes;
    }

    /// The client is waited for: ready at the end of a window in which less than the least moved; the next has begun then.
    pub(crate) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Pace { window: time, least } = self.pace;
        let window = self.window.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        while window.as_mut().poll(cx).is_ready() {
            window.as_mut().reset(Instant::now() + time);
            if std::mem::take(&mut self.moved) < least {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Nothing is waited for any more.
    pub(crate) fn stop(&mut self) {
        self.window = None;
        self.moved = 0;
    }
}
