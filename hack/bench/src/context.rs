//! What every section is given.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use kube::Client;
use serde::Deserialize;

use crate::cgroup::{Cgroup, Meter, Owned};
use crate::dice::Dice;
use crate::error::Error;
use crate::flags::Flags;
use crate::plan::{Display, Plan, Rounds};

/// How long a section may take at most whose rounds were named.
const INSISTED: Duration = Duration::from_secs(3600);

/// The cluster, the flags, and what follows from them.
pub(crate) struct Context {
    /// The cluster's API, as its administrator.
    pub(crate) client: Client,
    /// What the run was told.
    pub(crate) flags: Flags,
    /// Where things lie on this machine.
    pub(crate) node: Node,
    /// What is shown meanwhile.
    display: Display,
    /// When the section began that is being measured, and how long it may take.
    section: (Instant, Duration),
    /// The cgroup in which this process is: the load client's, as heavy as all pods together.
    client_group: [Cgroup; 1],
    /// Removes that cgroup in the end.
    _owned: Owned,
}

/// What hack/bench/run tells of the node and of what it has built.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    /// The API server's audit log.
    pub(crate) audit_log: PathBuf,
    /// The cgroup, relative to the root of each hierarchy, below which all pods run.
    pub(crate) cgroup: String,
    /// Where the cluster's own programs are started from.
    pub(crate) bin: PathBuf,
    /// Base URL of the Ingress controller.
    pub(crate) ingress: String,
    /// Images by what runs them: `python`, `node`, `native` (the runtime that loads nothing).
    pub(crate) images: std::collections::BTreeMap<String, String>,
    /// Programs of other makers by name, where they are not on the PATH.
    pub(crate) programs: std::collections::BTreeMap<String, PathBuf>,
}

impl Context {
    /// Connects.
    pub(crate) async fn new(flags: Flags, plan: &Plan, node: &str) -> Result<Self, Error> {
        let node = serde_json::from_str(node).map_err(|error| Error::Cluster(error.to_string()))?;
        let client = Client::try_default().await.map_err(|error| Error::Cluster(error.to_string()))?;
        let owned = Cgroup::at("")?.inside("muon-bench")?;
        owned.take(std::process::id())?;
        Ok(Self {
            client,
            flags,
            node,
            display: Display::new(plan),
            section: (Instant::now(), plan.total()),
            client_group: [(*owned).clone()],
            _owned: owned,
        })
    }

    /// A section of the plan begins.
    pub(crate) fn begin(&mut self, plan: &Plan, number: usize) {
        let (before, rest) = plan.sections().split_at(number);
        let sum = |sections: &[(_, Duration)]| sections.iter().map(|(_, time)| *time).sum();
        if let Some((section, time)) = rest.first() {
            self.section = (Instant::now(), *time);
            self.display.section(&section.name(), *time, sum(before), sum(rest));
        }
    }

    /// As many rounds as asked for. Where no number was named, none ends after this share of the section's time: what is
    /// left is for what comes after them.
    pub(crate) fn rounds(&self, share: f64) -> Rounds {
        self.few_rounds(usize::MAX, share)
    }

    /// The same, and at most so many: for rounds that are long.
    pub(crate) fn few_rounds(&self, most: usize, share: f64) -> Rounds {
        let time = if self.flags.insists() { INSISTED } else { self.section.1.mul_f64(share) };
        Rounds::new(self.flags.rounds().min(most), self.section.0 + time)
    }

    /// A line for who waits.
    pub(crate) fn say(&self, line: &str) {
        self.display.say(line);
    }

    /// CPU time of the load client from now on.
    pub(crate) fn client_meter(&self) -> Result<Meter<'_>, Error> {
        Meter::start(&self.client_group)
    }

    /// Chance for one subject.
    pub(crate) fn dice(&self, subject: &str) -> Dice {
        Dice::new(self.flags.seed, subject)
    }

    /// One of two sizes: that of a whole run, or of a quick one.
    pub(crate) fn size(&self, whole: usize, quick: usize) -> usize {
        if self.flags.quick { quick } else { whole }
    }

    /// A bar of `length` steps on the terminal.
    pub(crate) fn progress(&self, length: usize, what: &'static str) -> ProgressBar {
        self.display.bar(length, what)
    }

    /// The image of a runtime.
    pub(crate) fn image(&self, runtime: &str) -> Result<String, Error> {
        let found = self.node.images.get(runtime).cloned();
        found.ok_or_else(|| Error::Cluster(format!("hack/bench/run named no image for {runtime}")))
    }
}
