//! What is said of an Environment.

use muon_crds::words::State;
use muon_crds::{ConditionType, EnvironmentStatus};

use super::{Observed, Valid};
use crate::conditions::{self, Said, no, yes};
use crate::finding::{Invalid, Report};

/// The status after a visit that ended with `outcome`.
pub fn report(observed: &Observed, outcome: Result<&Valid, &Invalid>, now: &str) -> Report<EnvironmentStatus> {
    let old = observed.object.status.clone().unwrap_or_default();
    let count = |keep: &dyn Fn(&crate::SeenPod) -> bool| {
        i32::try_from(observed.pods.iter().filter(|pod| pod.counts() && keep(pod)).count()).unwrap_or(i32::MAX)
    };
    // What proxies have set aside is free still: no function has it.
    let is_free = |pod: &crate::SeenPod| pod.ready && matches!(pod.state(), Some(State::Free | State::Reserved));
    let free = match outcome {
        Ok(valid) => count(&|pod| is_free(pod) && pod.pool.as_deref() == Some(valid.template_hash.as_str())),
        Err(_) => count(&is_free),
    };

    let (finding, message) = match outcome {
        Ok(valid) => (not_ready(observed, valid, &old, free), pool_message(valid.min)),
        Err(invalid) => (Some(invalid.clone()), String::new()),
    };
    let mut said = conditions::summary(finding.as_ref(), "PoolReady", message.clone());
    said.extend(pool_ready(&old, finding.as_ref(), &message));
    let generation = observed.object.metadata.generation;
    let conditions = conditions::merge(&old.conditions, said, generation, now);
    let notes = conditions::notes(&old.conditions, &conditions, "FillPool");
    let status = EnvironmentStatus {
        observed_generation: generation,
        conditions,
        pool: outcome.map_or(old.pool, |valid| Some(valid.pool.clone())),
        free,
        claimed: count(&|pod| pod.state() == Some(State::Claimed)),
    };
    Report { status, notes }
}

fn pool_message(min: i32) -> String {
    match min {
        0 => "the pool is started on demand (pool.min is 0)".to_owned(),
        1 => "1 generic pod is kept ready".to_owned(),
        min => format!("{min} generic pods are kept ready"),
    }
}

/// The pool has to be full once to be ready. After that, pods that are claimed and replaced do not make it
/// unready: it is meant to be used. Only an empty pool does.
fn not_ready(observed: &Observed, valid: &Valid, old: &EnvironmentStatus, free: i32) -> Option<Invalid> {
    let was_ready = old.pool.as_ref() == Some(&valid.pool)
        && muon_crds::condition::is_true(&old.conditions, ConditionType::PoolReady);
    let enough = if was_ready { valid.min.min(1) } else { valid.min };
    if free >= enough {
        return None;
    }
    let of_pool = |pod: &&crate::SeenPod| pod.pool.as_deref() == Some(valid.template_hash.as_str()) && pod.counts();
    let pod_trouble = observed
        .pods
        .iter()
        .filter(of_pool)
        .find_map(|pod| pod.trouble.as_ref().map(|trouble| format!("pod {}: {trouble}", pod.name)));
    let pool_trouble = || {
        let pool = observed.pools.iter().find(|pool| pool.name == valid.pool)?;
        pool.trouble.as_ref().map(|trouble| format!("Deployment {}: {trouble}", pool.name))
    };
    // Without the count of the moment: a status is not rewritten for each pod that comes up.
    let (reason, message) = match pod_trouble.or_else(pool_trouble) {
        Some(trouble) => ("PodsNotStarting", trouble),
        None => ("PoolStarting", format!("waiting for {enough} generic pods to be ready")),
    };
    Some(Invalid::waiting(ConditionType::PoolReady, reason, message))
}

fn pool_ready(old: &EnvironmentStatus, finding: Option<&Invalid>, message: &str) -> Option<Said> {
    match finding {
        None => Some(yes(ConditionType::PoolReady, "PoolReady", message)),
        Some(invalid) if invalid.condition == ConditionType::PoolReady => {
            Some(no(ConditionType::PoolReady, invalid.reason, invalid.message.clone()))
        }
        Some(_) => conditions::again(&old.conditions, ConditionType::PoolReady),
    }
}
