use proptest::prelude::*;

use super::*;

fn pod(name: &str, ready: bool) -> SeenPod {
    SeenPod {
        name: name.to_owned(),
        uid: format!("{name}-uid"),
        assigned: true,
        phase: "Running".to_owned(),
        ready,
        ..SeenPod::default()
    }
}

fn names(references: &[PodRef]) -> Vec<&str> {
    references.iter().map(|reference| reference.name.as_str()).collect()
}

#[test]
fn replicas_wait_for_the_marks() {
    let pods = [pod("a", true), pod("b", true), pod("c", true)];
    let with = |standings: [Standing; 3]| {
        shrink(pods.iter().zip(standings).map(|(pod, standing)| Member { pod, standing }).collect(), 1, 3)
    };
    let first = with([Standing::Spare, Standing::Needed, Standing::Spare]);
    assert_eq!((first.replicas, names(&first.mark)), (3, vec!["a", "c"]));
    let leaving = with([Standing::Leaving, Standing::Needed, Standing::Gone]);
    assert_eq!((leaving.replicas, names(&leaving.mark)), (3, vec![]), "one of the two may still be in use");
    let gone = with([Standing::Gone, Standing::Needed, Standing::Gone]);
    assert_eq!((gone.replicas, names(&gone.discard)), (1, vec![]), "the ReplicaSet deletes them, not we");
}

#[test]
fn what_the_replica_set_has_yet_to_delete_is_not_counted_again() {
    let pods = [pod("a", true), pod("b", true), pod("c", true)];
    let members = |standings: [Standing; 3]| {
        pods.iter().zip(standings).map(|(pod, standing)| Member { pod, standing }).collect::<Vec<_>>()
    };
    // Replicas went from 3 to 2 and the ReplicaSet has not looked yet; now 1 is enough.
    let step = shrink(members([Standing::Gone, Standing::Spare, Standing::Spare]), 1, 2);
    assert_eq!((step.replicas, names(&step.mark)), (2, vec!["b"]));
}

#[test]
fn growing_discards_what_was_marked() {
    let pods = [pod("a", true), pod("b", true)];
    let members = pods.iter().zip([Standing::Gone, Standing::Needed]).map(|(pod, standing)| Member { pod, standing });
    let step = shrink(members.collect(), 4, 2);
    assert_eq!((step.replicas, names(&step.discard)), (4, vec!["a"]));
}

/// A ReplicaSet, as its controller works: it counts what has not ended, makes what is missing, and deletes what is
/// too much in its own order.
struct ReplicaSet {
    pods: Vec<(SeenPod, Standing)>,
    replicas: i32,
    made: u32,
}

impl ReplicaSet {
    fn new(pods: Vec<(SeenPod, Standing)>) -> Self {
        let replicas = i32::try_from(pods.len()).unwrap();
        Self { pods, replicas, made: 0 }
    }

    /// Returns what it deleted.
    fn sync(&mut self) -> Vec<(SeenPod, Standing)> {
        self.pods.sort_by_key(|(pod, standing)| order_of_choice(&Member { pod, standing: *standing }));
        let wanted = usize::try_from(self.replicas).unwrap();
        let surplus = self.pods.len().saturating_sub(wanted);
        let deleted = self.pods.drain(..surplus).collect();
        while self.pods.len() < wanted {
            self.made += 1;
            let mut young = pod(&format!("new-{}", self.made), false);
            young.phase = "Pending".to_owned();
            self.pods.push((young, Standing::Spare));
        }
        deleted
    }

    fn step(&mut self, desired: i32) -> Shrink {
        let members = self.pods.iter().map(|(pod, standing)| Member { pod, standing: *standing }).collect();
        let step = shrink(members, desired, self.replicas);
        for (pod, standing) in &mut self.pods {
            if step.mark.contains(&pod.reference()) {
                assert_eq!(*standing, Standing::Spare, "only spare pods are marked");
                *standing = Standing::Gone;
            }
        }
        self.replicas = step.replicas;
        self.pods.retain(|(pod, _)| !step.discard.contains(&pod.reference()));
        step
    }
}

fn any_standing() -> impl Strategy<Value = Standing> {
    prop_oneof![Just(Standing::Needed), Just(Standing::Spare), Just(Standing::Leaving), Just(Standing::Gone)]
}

fn any_pods() -> impl Strategy<Value = Vec<(SeenPod, Standing)>> {
    proptest::collection::vec((any::<bool>(), any_standing()), 0..12).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered.map(|(number, (ready, standing))| (pod(&format!("p{number}"), ready), standing)).collect()
    })
}

proptest! {
    /// Replicas never go below the pods that are not out of use.
    #[test]
    fn replicas_keep_every_pod_that_may_be_in_use(pods in any_pods(), desired in 0..12i32, current in 0..12i32) {
        let in_use = pods.iter().filter(|(_, standing)| *standing != Standing::Gone).count();
        let members = pods.iter().map(|(pod, standing)| Member { pod, standing: *standing }).collect();
        let step = shrink(members, desired, current);
        prop_assert!(step.replicas >= current.min(i32::try_from(in_use).unwrap()));
        prop_assert!(step.replicas >= desired);
        prop_assert!(step.replicas <= current.max(desired));
    }

    /// Whatever comes between, the ReplicaSet deletes marked pods only, and in the end it has the size asked for.
    #[test]
    fn a_replica_set_deletes_only_what_is_out_of_use(
        pods in any_pods(),
        desired in 0..12i32,
        claims in proptest::collection::vec(0..12usize, 0..6),
    ) {
        let mut set = ReplicaSet::new(pods);
        let mut claims = claims.into_iter();
        for _ in 0..40 {
            set.step(desired);
            for (pod, standing) in set.sync() {
                prop_assert!(standing == Standing::Gone, "{} was deleted while {standing:?}", pod.name);
            }
            // A claim takes a free pod out; the ReplicaSet makes another one. Then everything gets ready, and what
            // was leaving is gone.
            if let Some(claim) = claims.next() && let Some(at) = set.pods.iter().position(|(pod, standing)| {
                *standing == Standing::Spare && pod.ready && usize::from(pod.name.ends_with('1')) <= claim
            }) {
                set.pods.remove(at);
                set.sync();
            }
            for (pod, standing) in &mut set.pods {
                pod.ready = true;
                pod.phase = "Running".to_owned();
                if *standing == Standing::Leaving {
                    *standing = Standing::Gone;
                }
            }
        }
        let needed = set.pods.iter().filter(|(_, standing)| *standing == Standing::Needed).count();
        prop_assert_eq!(set.replicas, desired.max(i32::try_from(needed).unwrap()));
        prop_assert!(set.pods.iter().all(|(_, standing)| *standing != Standing::Gone), "nothing marked stays");
    }
}
