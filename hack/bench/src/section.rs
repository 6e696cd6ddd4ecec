//! The sections of the benchmark: each a module that gives rows, run alone or with all others.

use std::time::Duration;

use clap::ValueEnum;

use crate::context::Context;
use crate::error::Error;
use crate::row::Row;
use crate::sections::{bare, burst, cold, idle, kill, overload, own, scale, trace, trigger, warm, weakened};

/// One subject. The order is that of a whole run.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// The bare primitives of the machine and the cluster.
    Bare,
    /// Cold requests one after another, and the API writes each costs (rows 1 to 3).
    Cold,
    /// Many first requests at once: to one function, to many, to a pool that runs dry (rows 4 to 6).
    Burst,
    /// Warm requests: what a proxy adds and costs, beside other proxies (rows 7 to 10).
    Warm,
    /// Ten times what a function can carry: what is still answered, and what others notice (row 9).
    Overload,
    /// Cold requests of functions with a Deployment of their own.
    Own,
    /// From the creation of a route to its first reply (row 12).
    Trigger,
    /// What 1,000 functions cost that nobody calls (row 17).
    Idle,
    /// A trace in the shape of production's: memory held for it (row 18).
    Trace,
    /// Processes killed under load (row 19).
    Kill,
    /// A build that is worse on purpose, and must look worse (row 20).
    Weakened,
    /// The control plane with 10,000 of each kind, on an API server of its own (rows 11 to 16).
    Scale,
}

impl Section {
    /// All, in their order.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// As the command line has it.
    pub(crate) fn name(&self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// How long it may take in a whole run. Rounds that would end later are not made; all rows are there all the same.
    pub(crate) fn budget(self) -> Duration {
        Duration::from_secs(match self {
            Self::Bare => 25,
            Self::Cold => 235,
            Self::Burst => 170,
            Self::Warm => 150,
            Self::Overload => 65,
            Self::Own => 55,
            Self::Trigger => 40,
            Self::Idle => 80,
            Self::Trace => 100,
            Self::Kill => 90,
            Self::Weakened => 75,
            Self::Scale => 230,
        })
    }

    /// Measures it.
    pub(crate) async fn rows(self, context: &Context) -> Result<Vec<Row>, Error> {
        match self {
            Self::Bare => bare::rows(context).await,
            Self::Cold => cold::rows(context).await,
            Self::Burst => burst::rows(context).await,
            Self::Warm => warm::rows(context).await,
            Self::Overload => overload::rows(context).await,
            Self::Own => own::rows(context).await,
            Self::Trigger => trigger::rows(context).await,
            Self::Idle => idle::rows(context).await,
            Self::Trace => trace::rows(context).await,
            Self::Kill => kill::rows(context).await,
            Self::Weakened => weakened::rows(context).await,
            Self::Scale => scale::rows(context).await,
        }
    }
}
