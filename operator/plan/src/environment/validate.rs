//! An Environment to what its pool is made of.

use muon_crds::values::Resources;
use muon_crds::{ConditionType, names};

use super::{Observed, Valid};
use crate::finding::Invalid;
use crate::meta::Owner;
use crate::pod::{self, Base};
use crate::settings::Settings;
use crate::{quantity, revision};

/// Checks what the schema cannot: the quantities of the resources.
pub fn validate(observed: &Observed, settings: &Settings) -> Result<Valid, Invalid> {
    let spec = &observed.object.spec;
    let owner = Owner::of(&observed.object);
    let small = Resources::small();
    let empty = spec.resources.requests.is_empty() && spec.resources.limits.is_empty();
    let resources = quantity::requirements(if empty { &small } else { &spec.resources })
        .map_err(|bad| Invalid::stalled(ConditionType::PoolReady, "InvalidResources", bad.to_string()))?;

    let base = Base::of(spec, resources, settings);
    let labels = |hash: &str| super::build::pod_labels(&owner.name, hash);
    let template_hash = revision::hash(&pod::generic(&base, labels("")));
    Ok(Valid {
        pool: names::pool(&owner.name, &template_hash),
        template: pod::generic(&base, labels(&template_hash)),
        template_hash,
        min: spec.pool.min,
        max: spec.pool.max.max(spec.pool.min),
        system: settings.namespace.clone(),
        builds: spec.builder.is_some(),
        owner,
    })
}
