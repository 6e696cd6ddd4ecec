//! A load from a process of its own, in a cgroup of its own: what it takes of the processors is bounded by its weight,
//! and is not taken from whom it disturbs in the benchmark's own process.

use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::{Open, Target};
use crate::cgroup::{Cgroup, Meter, Owned};
use crate::error::Error;

/// How long after its last request a flood may take to end.
const LONGEST: Duration = Duration::from_secs(90);

/// What such a process is told.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Flood {
    pub(crate) targets: Vec<Target>,
    /// Requests a second.
    pub(crate) rate: f64,
    /// How long requests become due.
    pub(crate) seconds: f64,
    pub(crate) connections: usize,
}

/// What it tells when it is over.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Flooded {
    /// Requests answered with 200, a second.
    pub(crate) goodput: f64,
    /// Requests turned away in order, a second.
    pub(crate) shed: f64,
    /// Requests answered otherwise, or not.
    pub(crate) failed: u64,
    /// The first failure, in words.
    pub(crate) why: Option<String>,
    /// Processors that it took.
    #[serde(default)]
    pub(crate) processors: f64,
}

/// A flood that is running.
pub(crate) struct Running {
    child: Child,
    group: Owned,
}

impl Flood {
    /// The text that starts it, for [`crate::flags::Flags::flood`].
    fn text(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| Error::Request(error.to_string()))
    }

    /// Runs it here, in this process; what it tells.
    pub(crate) async fn run(text: &str) -> Result<String, Error> {
        let told = |error: serde_json::Error| Error::Request(error.to_string());
        let flood: Self = serde_json::from_str(text).map_err(told)?;
        let open = Open::new(flood.rate, Duration::from_secs_f64(flood.seconds), flood.connections);
        // Only while requests become due: what is answered afterwards is what had waited.
        let offered = async {
            while open.answered.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(open.time).await;
            open.answered.load(Ordering::Relaxed) as f64 / flood.seconds
        };
        let (load, goodput) = tokio::select! {
            both = async { tokio::join!(open.spread(&flood.targets), offered) } => both,
            // Nothing is answered at all.
            () = tokio::time::sleep(open.time + LONGEST) => return Err(Error::Request("the flood does not end".into())),
        };
        let load = load?;
        let (shed, failed) = (load.shed as f64 / load.time.as_secs_f64(), load.failed);
        serde_json::to_string(&Flooded { goodput, shed, failed, why: load.why, processors: 0.0 }).map_err(told)
    }

    /// Starts it beside this process.
    pub(crate) fn start(&self) -> Result<Running, Error> {
        let group = Cgroup::at("")?.inside("muon-bench-flood")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--flood", &self.text()?]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn()?;
        if let Some(pid) = child.id() {
            group.take(pid)?;
        }
        Ok(Running { child, group })
    }
}

impl Running {
    /// Waits until it is over.
    pub(crate) async fn end(self) -> Result<Flooded, Error> {
        let Self { child, group } = self;
        let groups = [(*group).clone()];
        let meter = Meter::start(&groups)?;
        let output = child.wait_with_output().await?;
        let processors = meter.processors()?;
        let flooded = serde_json::from_slice(&output.stdout);
        let mut flooded: Flooded =
            flooded.map_err(|error| Error::Program { program: "the flood".into(), why: error.to_string() })?;
        flooded.processors = processors;
        Ok(flooded)
    }
}
