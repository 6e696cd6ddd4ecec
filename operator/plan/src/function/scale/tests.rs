use proptest::prelude::*;

use super::*;

fn spec(replicas: i32, min: i32, max: i32) -> FunctionSpec {
    let text = format!(
        "{{environment: python, package: p, replicas: {replicas}, scaling: {{min: {min}, max: {max}, idleSeconds: 10}}}}"
    );
    serde_yaml::from_str(&text).unwrap()
}

#[test]
fn demand_is_met_between_the_bounds() {
    assert_eq!(own_replicas(&spec(0, 0, 10), 0, 0, 0), 0);
    assert_eq!(own_replicas(&spec(0, 0, 10), 0, 3, 0), 3);
    assert_eq!(own_replicas(&spec(0, 0, 10), 0, 30, 0), 10);
    assert_eq!(own_replicas(&spec(0, 2, 10), 2, 0, 0), 2);
    assert_eq!(own_replicas(&spec(0, 0, 10), 0, 1, 4), 4, "pods that are kept stay");
    assert_eq!(own_replicas(&spec(5, 0, 3), 0, 30, 9), 5, "a held number is held");
    assert_eq!(own_replicas(&spec(0, 0, 10), 0, u32::MAX, 0), 10);
}

fn observed(min: i32) -> Observed {
    let text = format!(
        "
object:
  apiVersion: muon.dev/v1alpha1
  kind: Function
  metadata: {{name: hello, namespace: shop, uid: u, generation: 1, resourceVersion: '5'}}
  spec: {{environment: python, package: p, scaling: {{min: {min}, max: 8, idleSeconds: 10}}}}
  status:
    serving: {{revision: now, digest: d, mode: Deployment, environment: python, concurrency: 1, timeoutSeconds: 1, max: 8}}
watermark: 5
"
    );
    serde_yaml::from_str(&text).unwrap()
}

fn pool_pod(name: &str, in_flight: u32, idle_ms: u64) -> UsedPod {
    UsedPod {
        pod: crate::SeenPod {
            name: name.to_owned(),
            uid: name.to_owned(),
            state: State::Claimed.as_str().to_owned(),
            revision: Some("now".to_owned()),
            phase: "Running".to_owned(),
            ready: true,
            assigned: true,
            ..crate::SeenPod::default()
        },
        usage: Some(Usage { used: true, in_flight, idle_ms, seen: true, ..Usage::default() }),
    }
}

fn drained(observed: &Observed) -> Vec<String> {
    scale(observed, None).drain.into_iter().map(|pod| pod.name).collect()
}

#[test]
fn the_pods_used_least_go_first() {
    let mut observed = observed(1);
    let pods = [("a", 0, 11_000), ("b", 1, 0), ("c", 0, 30_000), ("d", 0, 2_000)];
    observed.pods = pods.map(|(name, in_flight, idle)| pool_pod(name, in_flight, idle)).into();
    assert_eq!(drained(&observed), ["c", "a"], "the busy one stays, and the one that has just been used");
    observed.object.spec.scaling.min = 3;
    assert_eq!(drained(&observed), ["c"], "three are kept: the one idle for longest goes");
}

#[test]
fn pods_beyond_the_bound_go_when_nothing_is_in_them() {
    let mut observed = observed(0);
    observed.object.spec.scaling.max = 2;
    let pods = [("a", 1, 0), ("b", 0, 200), ("c", 2, 0), ("d", 0, 100)];
    observed.pods = pods.map(|(name, in_flight, idle)| pool_pod(name, in_flight, idle)).into();
    assert_eq!(drained(&observed), ["b", "d"]);
    observed.pods[1].usage.as_mut().unwrap().in_flight = 1;
    assert_eq!(drained(&observed), ["d"], "a request is in the other one");
}

fn any_pod() -> impl Strategy<Value = (bool, bool, bool, u32, u64, bool, bool)> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 0..2u32, 0..20_000u64, any::<bool>(), any::<bool>())
}

proptest! {
    /// Whatever is observed: no pod with a request in it is drained while it serves, none is deleted while it has
    /// one, and replicas never go below the pods that are not drained.
    #[test]
    fn nothing_in_use_goes(
        pods in proptest::collection::vec(any_pod(), 0..12),
        min in 0..3i32,
        replicas in 0..12i32,
        wanted in 0..12u32,
    ) {
        let mut observed = observed(min);
        observed.demand.wanted = wanted;
        for (number, (own, now, draining, in_flight, idle_ms, seen, known)) in pods.into_iter().enumerate() {
            let state = if draining { State::Draining } else { State::Claimed };
            observed.pods.push(UsedPod {
                pod: crate::SeenPod {
                    name: format!("p{number}"),
                    uid: format!("p{number}"),
                    state: state.as_str().to_owned(),
                    revision: Some(if now { "now" } else { "old" }.to_owned()),
                    own,
                    assigned: true,
                    phase: "Running".to_owned(),
                    ready: true,
                    ..crate::SeenPod::default()
                },
                usage: known.then_some(Usage { used: true, loaded: true, broken: false, in_flight, idle_ms, seen }),
            });
        }
        let deployment = |revision: &str| SeenDeployment {
            name: revision.to_owned(), revision: Some(revision.to_owned()), replicas, ..SeenDeployment::default()
        };
        observed.deployments = vec![deployment("now"), deployment("old")];
        let decision = scale(&observed, None);

        let find = |uid: &str| observed.pods.iter().find(|used| used.pod.uid == uid).unwrap();
        for drained in &decision.drain {
            let used = find(&drained.uid);
            prop_assert_eq!(used.pod.state(), Some(State::Claimed));
            if used.pod.revision.as_deref() == Some("now") {
                let usage = used.usage.as_ref().unwrap();
                prop_assert!(usage.in_flight == 0 && usage.idle_ms >= 10_000);
            }
        }
        for deleted in &decision.delete {
            let used = find(&deleted.uid);
            prop_assert_eq!(used.pod.state(), Some(State::Draining));
            prop_assert!(used.usage.as_ref().is_some_and(|usage| usage.in_flight == 0 && usage.seen));
        }
        for old in &decision.old {
            let stays = observed.pods.iter().filter(|used| {
                let is_drained = used.pod.state() == Some(State::Draining)
                    && used.usage.as_ref().is_some_and(|usage| usage.in_flight == 0 && usage.seen);
                used.pod.own && used.pod.revision.as_deref() == Some(old.name.as_str()) && !is_drained
            });
            let stays = i32::try_from(stays.count()).unwrap();
            match old.step {
                OldStep::Scale(size) => prop_assert!(size >= replicas.min(stays), "{} to {size}, {stays} stay", old.name),
                OldStep::Delete => prop_assert_eq!(stays, 0),
                OldStep::Keep => {}
            }
        }
        let twice = decision.drain.iter().filter(|pod| decision.delete.contains(pod)).count();
        prop_assert_eq!(twice, 0);
    }
}
