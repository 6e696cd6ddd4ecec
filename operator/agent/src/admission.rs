//! Which orders this agent takes.

use muon_order::{Load, Order, Refused, Verifier};

use crate::failure::LoadError;

/// An order whose signature and pod are right.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    /// What is ordered.
    pub load: Load,
    /// Why it may not begin a load any more, when its time is over. What is loaded or being loaded needs no new order.
    pub expired: Option<Refused>,
}

/// Checks the signature and that the order is meant for this pod: its UID, or, in an own Deployment's pod, the very
/// load of the template, which carries none.
pub fn admit(
    verifier: &Verifier,
    pod_uid: &str,
    template: Option<&Load>,
    token: &str,
    now: u64,
) -> Result<Admitted, LoadError> {
    // Time 0: every order that is signed right passes. Its end is looked at apart, since a signature costs as much to
    // check as all the rest of this.
    let order = verifier.check(token, 0).map_err(|refused| LoadError::OrderRefused(refused.to_string()))?;
    let Order::Load(load) = order else {
        return Err(LoadError::OrderRefused("the order is not one to load a package".into()));
    };
    if !muon_crds::names::is_digest(&load.digest) {
        return Err(LoadError::OrderRefused(format!("the order names no digest but {:?}", load.digest)));
    }
    match &load.pod_uid {
        Some(uid) if uid == pod_uid => {}
        Some(uid) => {
            return Err(LoadError::OrderRefused(format!("the order is for pod {uid}, this is pod {pod_uid}")));
        }
        None if template == Some(&load) => {}
        None => {
            let message = "the order is bound to no pod, and it is not the one of this pod's template";
            return Err(LoadError::OrderRefused(message.into()));
        }
    }
    let expired = load.until.filter(|until| *until < now).map(|until| Refused::Expired { until, now });
    Ok(Admitted { load, expired })
}

#[cfg(test)]
mod tests {
    use muon_order::{Put, Signer};

    use super::*;

    fn load(pod: Option<&str>) -> Load {
        Load {
            pod_uid: pod.map(Into::into),
            namespace: "default".into(),
            function_uid: "function-1".into(),
            revision: "r1".into(),
            digest: muon_crds::names::digest(b"x"),
            until: Some(100),
        }
    }

    fn check(order: &Order, template: Option<&Load>) -> Result<Admitted, LoadError> {
        let signer = Signer::from_seed(&[1; 32]).unwrap();
        admit(&signer.verifier(), "pod-1", template, &signer.sign(order), 50)
    }

    #[test]
    fn an_order_for_this_pod_is_taken() {
        let admitted = check(&Order::Load(load(Some("pod-1"))), None).unwrap();
        assert_eq!(admitted, Admitted { load: load(Some("pod-1")), expired: None });
    }

    #[test]
    fn an_order_without_a_pod_is_taken_only_as_the_template_has_it() {
        let order = Order::Load(load(None));
        assert!(check(&order, Some(&load(None))).is_ok());
        assert!(check(&order, None).is_err());
        let other = Load { revision: "r2".into(), ..load(None) };
        assert!(check(&order, Some(&other)).is_err());
    }

    #[test]
    fn orders_for_another_pod_or_another_deed_are_refused() {
        assert!(check(&Order::Load(load(Some("pod-2"))), None).is_err());
        let put = Order::Put(Put { namespace: "default".into(), digest: load(None).digest, until: 100 });
        assert!(check(&put, None).is_err());
        let nonsense = Load { digest: "sha256:../../etc".into(), ..load(Some("pod-1")) };
        assert!(check(&Order::Load(nonsense), None).is_err());
    }

    #[test]
    fn an_order_whose_time_is_over_is_known_as_such() {
        let signer = Signer::from_seed(&[1; 32]).unwrap();
        let token = signer.sign(&Order::Load(load(Some("pod-1"))));
        let admitted = admit(&signer.verifier(), "pod-1", None, &token, 101).unwrap();
        assert_eq!(admitted.expired, Some(Refused::Expired { until: 100, now: 101 }));
    }
}
