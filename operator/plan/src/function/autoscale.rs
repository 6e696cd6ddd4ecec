//! An autoscaler of the user's: a HorizontalPodAutoscaler that names the Function, or the Deployment that the Function
//! has of its own. It then says how many pods there are, and we keep our hands off.
//!
//! Both only work on a number that is not 0, as everywhere in Kubernetes. So 0 stays ours: `spec.replicas` of 0 is
//! automatic, and a Deployment that has none gets its first pods from us, when requests want them.

use serde::{Deserialize, Serialize};

use super::schedule::{AUTOSCALED, BadWindow, Kept, kept};
use super::{Observed, Serving};
use crate::seen::SeenDeployment;

/// A HorizontalPodAutoscaler that names the Function, or one of its Deployments.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaler {
    /// Its name.
    pub name: String,
    /// The Deployment that it names; none: it names the Function.
    #[serde(default)]
    pub deployment: Option<String>,
}

/// How many pods are kept though nobody calls, and who says so.
pub fn kept_now(observed: &Observed) -> Result<Kept, BadWindow> {
    let spec = &observed.object.spec;
    let ours = kept(spec, observed.now)?;
    let Some(scaler) = &observed.autoscaler else { return Ok(ours) };
    let name = &scaler.name;
    let (pods, said) = match &scaler.deployment {
        None => (spec.replicas, format!("the HorizontalPodAutoscaler {name} holds {}", spec.replicas)),
        Some(deployment) => {
            let serving = observed.object.status.as_ref().and_then(|status| status.serving.as_ref());
            let named = observed.deployments.iter().find(|own| own.name == *deployment);
            // One of an earlier revision is on its way out.
            let Some(named) = named.filter(|own| is_of(own, serving)) else { return Ok(ours) };
            (named.replicas, format!("the HorizontalPodAutoscaler {name} scales the Deployment {deployment}"))
        }
    };
    match pods {
        0 => Ok(ours.and(&format!("the HorizontalPodAutoscaler {name} does nothing while there are 0 replicas"))),
        _ => Ok(Kept::new(pods, AUTOSCALED, said)),
    }
}

/// Whether the number of this Deployment is the autoscaler's.
pub(super) fn is_left(observed: &Observed, own: &SeenDeployment) -> bool {
    let named = observed.autoscaler.as_ref().and_then(|scaler| scaler.deployment.as_deref());
    named == Some(own.name.as_str()) && own.replicas > 0
}

fn is_of(own: &SeenDeployment, serving: Option<&Serving>) -> bool {
    serving.is_some_and(|serving| own.revision.as_deref() == Some(serving.revision.as_str()))
}
