//! When requests are due. A thread of its own keeps the time: the runtime's timers are a millisecond wide, which is
//! several times what is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::error::Error;

/// Gives each due request to one of those who ask.
#[derive(Clone)]
pub(crate) struct Pace {
    due: Arc<Mutex<UnboundedReceiver<Instant>>>,
}

impl Pace {
    /// `rate` requests a second, evenly, for `time`.
    pub(crate) fn start(rate: f64, time: Duration) -> Result<Self, Error> {
        let total = (rate * time.as_secs_f64()) as u64;
        // As many as are due are waiting at most, and that is bounded by the load itself.
        let (give, due) = unbounded_channel();
        let keep = move || {
            let begun = Instant::now();
            for number in 0..total {
                let at = begun + Duration::from_secs_f64(number as f64 / rate);
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                if give.send(at).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("pace".into()).spawn(keep)?;
        Ok(Self { due: Arc::new(Mutex::new(due)) })
    }

    /// When the next request is due, as soon as it is; none when the load is over.
    pub(crate) async fn next(&self) -> Option<Instant> {
        self.due.lock().await.recv().await
    }
}
