use proptest::prelude::*;

use super::*;
use crate::settings::Settings;

fn observed(min: i32, max: i32) -> Observed {
    let text = format!(
        "
object:
  apiVersion: muon.dev/v1alpha1
  kind: Environment
  metadata: {{name: python, namespace: shop, uid: u}}
  spec: {{runtime: {{image: python}}, pool: {{min: {min}, max: {max}}}}}
"
    );
    serde_yaml::from_str(&text).unwrap()
}

fn valid(observed: &Observed) -> Valid {
    let settings = Settings {
        namespace: "muon-system".to_owned(),
        agent_image: "agent".to_owned(),
        image_pull_policy: crate::settings::default_pull_policy(),
        public_key: "key".to_owned(),
        store: "http://store".to_owned(),
        cluster_domain: crate::settings::default_domain(),
        cluster_variables: std::collections::BTreeMap::new(),
    };
    crate::environment::validate(observed, &settings).unwrap()
}

fn pod(number: usize, pool: &str, state: State, ready: bool) -> SeenPod {
    SeenPod {
        name: format!("p{number}"),
        uid: format!("p{number}-uid"),
        state: state.as_str().to_owned(),
        pool: Some(pool.to_owned()),
        assigned: true,
        phase: "Running".to_owned(),
        ready,
        ..SeenPod::default()
    }
}

#[test]
fn the_template_decides_the_pool() {
    let one = observed(1, 2);
    let mut other = one.clone();
    other.object.spec.pool.min = 0;
    assert_eq!(valid(&one).pool, valid(&other).pool, "the size is not part of the template");
    other.object.spec.termination_grace_period_seconds += 1;
    assert_ne!(valid(&one).pool, valid(&other).pool);
}

#[test]
fn a_reserved_pod_is_not_retired() {
    let mut observed = observed(0, 5);
    let valid = valid(&observed);
    let hash = valid.template_hash.as_str();
    observed.pools = vec![SeenDeployment { pool: Some(hash.to_owned()), replicas: 2, ..SeenDeployment::default() }];
    observed.pods = vec![pod(1, hash, State::Reserved, true), pod(2, hash, State::Free, true)];
    let decision = pool_size(&observed, &valid);
    assert_eq!(decision.replicas, 2);
    assert_eq!(decision.retire, [observed.pods[1].reference()]);
}

/// Five pods, of which two are to go; a new operator begins to look after each step.
#[test]
fn an_operator_that_starts_in_the_middle_of_a_shrink_goes_on_with_it() {
    let mut observed = observed(1, 9);
    let valid = valid(&observed);
    let hash = valid.template_hash.clone();
    let mut seen = |replicas, states: &[State]| {
        observed.pools = vec![SeenDeployment { pool: Some(hash.clone()), replicas, ..SeenDeployment::default() }];
        let numbered = states.iter().enumerate();
        observed.pods = numbered.map(|(number, state)| pod(number, &hash, *state, true)).collect();
        observed.demand = held(&observed, &valid).level;
        let decision = pool_size(&observed, &valid);
        (decision.replicas, decision.retire.len(), decision.discard.len())
    };
    use State::{Claimed, Free, Reserved, Retiring};
    assert_eq!(seen(5, &[Free, Free, Free, Free, Free]), (5, 0, 0), "as it is");
    assert_eq!(seen(5, &[Retiring, Retiring, Free, Reserved, Free]), (3, 0, 0), "the marks are there");
    assert_eq!(seen(3, &[Retiring, Retiring, Free, Free, Free]), (3, 0, 0), "the ReplicaSet has yet to delete them");
    assert_eq!(seen(3, &[Retiring, Free, Free, Free]), (3, 0, 0), "and one it has");
    assert_eq!(seen(3, &[Free, Free, Free]), (3, 0, 0), "over");
    // One of the three was claimed meanwhile, and the ReplicaSet has yet to make another.
    assert_eq!(seen(3, &[Claimed, Free, Free]), (3, 0, 0));
}

#[test]
fn what_there_must_be_anyway_is_no_level() {
    let mut observed = observed(4, 9);
    let at_four = valid(&observed);
    let hash = at_four.template_hash.clone();
    assert_eq!(held(&observed, &at_four), Held::default());
    observed.pools = vec![SeenDeployment { pool: Some(hash), replicas: 4, ..SeenDeployment::default() }];
    assert_eq!(held(&observed, &at_four), Held { replicas: Some(4), level: 0 });
    observed.pools[0].replicas = 6;
    assert_eq!(held(&observed, &at_four), Held { replicas: Some(6), level: 6 });
    // A changed template, and an operator that starts before there is a pool of it.
    observed.pools[0].pool = Some("0ld0ld00".to_owned());
    assert_eq!(held(&observed, &at_four), Held { replicas: None, level: 6 });
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Free),
        Just(State::Reserved),
        Just(State::Claimed),
        Just(State::Draining),
        Just(State::Retiring)
    ]
}

proptest! {
    #[test]
    fn no_restart_makes_a_pool_larger(
        pods in proptest::collection::vec((any_state(), any::<bool>()), 0..20),
        min in 0..8i32,
        replicas in 0..12i32,
    ) {
        let mut observed = observed(min, 12);
        let valid = valid(&observed);
        let hash = valid.template_hash.as_str();
        let numbered = pods.iter().enumerate();
        observed.pods = numbered.map(|(number, (state, ready))| pod(number, hash, *state, *ready)).collect();
        observed.pools = vec![SeenDeployment { pool: Some(hash.to_owned()), replicas, ..SeenDeployment::default() }];
        observed.demand = held(&observed, &valid).level;
        let decision = pool_size(&observed, &valid);
        prop_assert!(decision.replicas <= replicas.max(min));
        if replicas > min && observed.demand > 0 {
            prop_assert!(decision.discard.is_empty(), "a pod that goes is not replaced");
        }
    }

    #[test]
    fn no_pool_goes_below_what_is_not_retiring(
        pods in proptest::collection::vec((any::<bool>(), any_state(), any::<bool>()), 0..20),
        sizes in (0..8i32, 1..8i32),
        replicas in (0..12i32, 0..12i32),
        demand in 0..20i32,
    ) {
        let mut observed = observed(sizes.0, sizes.0.max(sizes.1));
        let valid = valid(&observed);
        let hash = |current: bool| if current { valid.template_hash.clone() } else { "0ld0ld00".to_owned() };
        observed.demand = demand;
        let numbered = pods.iter().enumerate();
        observed.pods = numbered.map(|(number, (current, state, ready))| pod(number, &hash(*current), *state, *ready)).collect();
        let deployment = |current: bool, replicas| SeenDeployment {
            name: hash(current), uid: hash(current), pool: Some(hash(current)), replicas, ..SeenDeployment::default()
        };
        observed.pools = vec![deployment(true, replicas.0), deployment(false, replicas.1)];

        let decision = pool_size(&observed, &valid);
        let stays = |current: bool| {
            let of_pool = |pod: &&SeenPod| pod.pool.as_deref() == Some(hash(current).as_str());
            let in_set = |pod: &&SeenPod| matches!(pod.state(), Some(State::Free | State::Reserved));
            i32::try_from(observed.pods.iter().filter(of_pool).filter(in_set).count()).unwrap()
        };
        prop_assert!(decision.replicas >= replicas.0.min(stays(true)));
        prop_assert!(decision.replicas >= valid.min);
        match decision.old[0].step {
            OldStep::Scale(size) => prop_assert!(size < replicas.1 && size >= replicas.1.min(stays(false))),
            OldStep::Delete => prop_assert!(replicas.1 == 0 && stays(false) == 0),
            OldStep::Keep => {}
        }
        for retired in &decision.retire {
            let pod = observed.pods.iter().find(|pod| pod.uid == retired.uid).unwrap();
            prop_assert_eq!(pod.state(), Some(State::Free));
        }
        for discarded in &decision.discard {
            let pod = observed.pods.iter().find(|pod| pod.uid == discarded.uid).unwrap();
            prop_assert_eq!(pod.state(), Some(State::Retiring));
        }
    }
}
