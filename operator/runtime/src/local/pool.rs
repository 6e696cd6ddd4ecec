//! Spare processes: runtimes that are up and hold no code, so that a save is answered without waiting for a start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use super::cluster::Cluster;
use super::language::Start;
use super::pod::{Machine, Pod};
use super::terminal::Tone;

/// Spares at once, however many functions wait for one.
const MOST: usize = 4;
/// Starts in a row that fail before somebody who waits is told.
const FAILURES: u32 = 2;
/// Between two starts of which the first failed; grows with each.
const PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The spares of one kind: a language, with the variables that only a starting process reads.
pub(crate) struct Pool {
    name: String,
    wanted: watch::Sender<usize>,
    trouble: watch::Receiver<Option<String>>,
    keeping: tokio::task::AbortHandle,
}

impl Pool {
    /// Starts to keep spares, as many as functions wait for.
    pub(crate) fn new(
        name: String,
        machine: Arc<Machine>,
        cluster: Cluster,
        start: Start,
        env: BTreeMap<String, String>,
    ) -> Self {
        let (wanted, wants) = watch::channel(1);
        let (troubled, trouble) = watch::channel(None);
        let keeper = Keeper { name: name.clone(), machine, cluster, start, env, wants, troubled };
        Self { name, wanted, trouble, keeping: tokio::spawn(keeper.keep()).abort_handle() }
    }

    /// How many functions will want one at once: one more is kept.
    pub(crate) fn expect(&self, functions: usize) {
        self.wanted.send_replace((functions + 1).min(MOST));
    }

    /// A spare, as soon as there is one; or why there is none.
    pub(crate) async fn take(&self, cluster: &Cluster) -> Result<Arc<Pod>, String> {
        let mut changed = cluster.watch();
        let mut trouble = self.trouble.clone();
        loop {
            changed.mark_unchanged();
            if let Some(pod) = cluster.take(&self.name) {
                return Ok(pod);
            }
            if let Some(trouble) = trouble.borrow_and_update().clone() {
                return Err(trouble);
            }
            tokio::select! {
                _ = changed.changed() => {}
                _ = trouble.changed() => {}
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

struct Keeper {
    name: String,
    machine: Arc<Machine>,
    cluster: Cluster,
    start: Start,
    env: BTreeMap<String, String>,
    wants: watch::Receiver<usize>,
    troubled: watch::Sender<Option<String>>,
}

impl Keeper {
    async fn keep(self) {
        let Self { name, machine, cluster, start, env, mut wants, troubled } = self;
        let mut changed = cluster.watch();
        let mut starting = FuturesUnordered::new();
        let mut failures: u32 = 0;
        loop {
            changed.mark_unchanged();
            let missing = wants.borrow_and_update().saturating_sub(cluster.free(&name) + starting.len());
            for _ in 0..missing {
                starting.push(machine.start(&name, &start, &env, None));
            }
            tokio::select! {
                Some(started) = starting.next() => match started {
                    Ok(pod) => {
                        failures = 0;
                        troubled.send_replace(None);
                        cluster.add(&name, pod, true);
                    }
                    Err(error) => {
                        failures += 1;
                        if failures >= FAILURES {
                            let text = format!("{name}: {error}");
                            if troubled.borrow().as_ref() != Some(&text) {
                                machine.terminal.say(Tone::Error, &text);
                            }
                            troubled.send_replace(Some(text));
                        }
                        tokio::time::sleep((PAUSE * failures).min(LONGEST_PAUSE)).await;
                    }
                },
                _ = changed.changed() => {}
                _ = wants.changed() => {}
            }
        }
    }
}
