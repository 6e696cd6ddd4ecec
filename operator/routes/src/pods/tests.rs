use serde_json::{Value, json};

use super::*;

fn pod(name: &str, version: u64, labels: Value) -> v1::Pod {
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "demo", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
            "labels": {"muon.dev/environment": "python"}, "annotations": {"muon.dev/runtime-port": "9000"},
        },
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    });
    for (key, value) in labels.as_object().unwrap() {
        pod["metadata"]["labels"][key] = value.clone();
    }
    serde_json::from_value(pod).unwrap()
}

fn free(index: &PodIndex) -> Vec<&str> {
    index.free("demo", "python").map(|pod| &*pod.name).collect()
}

fn of(index: &PodIndex) -> Vec<(&str, bool)> {
    index.of_function("hello.demo").map(|pod| (&*pod.name, pod.is_serving())).collect()
}

#[test]
fn a_pods_life_is_followed() {
    let mut index = PodIndex::default();
    let changed = index.apply(Event::Apply(pod("p", 1, json!({"muon.dev/state": "free"}))));
    assert!(changed[0].freed());
    assert_eq!((free(&index), of(&index)), (vec!["p"], vec![]));

    let claimed = json!({"muon.dev/state": "claimed", "muon.dev/function": "hello", "muon.dev/revision": "r1"});
    let changed = index.apply(Event::Apply(pod("p", 2, claimed)));
    assert_eq!(changed[0].functions().collect::<Vec<_>>(), ["hello.demo"]);
    assert_eq!((free(&index), of(&index)), (vec![], vec![("p", true)]));

    for state in ["draining", "retiring", "reserved", "unheard-of"] {
        index.apply(Event::Apply(pod("p", 3, json!({"muon.dev/state": state, "muon.dev/function": "hello"}))));
        assert_eq!((free(&index), of(&index)), (vec![], vec![("p", false)]), "{state}");
    }
    index.apply(Event::Delete(pod("p", 4, json!({}))));
    assert_eq!((free(&index), of(&index), index.seen()), (vec![], vec![], 4));
}

#[test]
fn a_pod_that_is_not_ready_or_going_is_not_used() {
    let mut index = PodIndex::default();
    let mut unready = pod("a", 1, json!({"muon.dev/state": "free"}));
    unready.status.as_mut().unwrap().conditions = None;
    let mut going = pod("b", 1, json!({"muon.dev/state": "free"}));
    going.metadata.deletion_timestamp =
        going.status.as_ref().unwrap().conditions.as_ref().unwrap()[0].last_transition_time.clone();
    let mut homeless = pod("c", 1, json!({"muon.dev/state": "free"}));
    homeless.status.as_mut().unwrap().pod_ip = None;
    let stranger = pod("d", 1, json!({"muon.dev/state": "free", "muon.dev/environment": "node"}));
    for pod in [unready, going, homeless, stranger] {
        index.apply(Event::Apply(pod));
    }
    assert_eq!(free(&index), Vec::<&str>::new());
    assert_eq!(index.free("demo", "node").count(), 1);
}

#[test]
fn a_claim_is_known_before_the_watch_tells_it_and_older_events_do_not_undo_it() {
    let mut index = PodIndex::default();
    index.apply(Event::Apply(pod("p", 1, json!({"muon.dev/state": "free"}))));
    assert!(index.claimed("uid-p", "hello", "uid-hello", "r1", 5).is_some());
    assert_eq!((free(&index), of(&index)), (vec![], vec![("p", true)]));
    assert!(index.apply(Event::Apply(pod("p", 3, json!({"muon.dev/state": "free"})))).is_empty());
    assert_eq!(of(&index), [("p", true)]);
    index.apply(Event::Apply(pod("p", 6, json!({"muon.dev/state": "draining", "muon.dev/function": "hello"}))));
    assert_eq!(of(&index), [("p", false)]);
    assert!(index.claimed("uid-p", "hello", "uid-hello", "r1", 5).is_none(), "an old claim undid what came later");
}

#[test]
fn a_new_list_drops_what_it_does_not_name() {
    let mut index = PodIndex::default();
    assert!(!index.complete());
    index.apply(Event::Apply(pod("old", 1, json!({"muon.dev/state": "free"}))));
    index.apply(Event::Relist);
    index.apply(Event::Apply(pod("new", 2, json!({"muon.dev/state": "free"}))));
    assert_eq!(free(&index), ["new", "old"], "nothing goes while the list is running");
    let gone = index.apply(Event::Listed);
    assert_eq!((gone.len(), free(&index), index.complete()), (1, vec!["new"], true));
}

#[test]
fn a_pod_that_was_told_of_yields_to_what_is_known() {
    let mut index = PodIndex::default();
    let told = Pod {
        version: 5,
        ..Pod::of(&pod("p", 1, json!({"muon.dev/state": "claimed", "muon.dev/function": "hello"}))).unwrap()
    };
    assert!(index.told(told.clone()).is_some());
    index.apply(Event::Apply(pod("p", 7, json!({"muon.dev/state": "draining", "muon.dev/function": "hello"}))));
    assert!(index.told(told).is_none());
    assert_eq!(of(&index), [("p", false)]);
}

fn reserved(name: &str, version: u64) -> v1::Pod {
    let labels =
        json!({"muon.dev/state": "reserved", "muon.dev/reserved-by": "proxy-a", "muon.dev/reserved-until": "300"});
    pod(name, version, labels)
}

fn meant() -> Meant {
    Meant { function: "hello".into(), function_uid: "uid-hello".into(), revision: "r1".into() }
}

#[test]
fn a_taken_pod_is_its_functions_until_the_watch_shows_it_as_anything_but_reserved() {
    let mut index = PodIndex::default();
    index.apply(Event::Apply(reserved("p", 1)));
    assert_eq!((free(&index), of(&index), index.pool("demo", "python").count()), (vec![], vec![], 1));
    let changed = index.take("uid-p", meant()).unwrap();
    assert_eq!(changed.functions().collect::<Vec<_>>(), ["hello.demo"]);
    // Whatever else changes of it.
    index.apply(Event::Apply(reserved("p", 2)));
    assert_eq!(of(&index), [("p", true)]);
    index.apply(Event::Apply(pod("p", 3, json!({"muon.dev/state": "retiring"}))));
    assert_eq!((of(&index), index.pool("demo", "python").count()), (vec![], 0));
    index.apply(Event::Apply(reserved("p", 4)));
    assert_eq!(of(&index), [], "what it was taken for is over");
}

#[test]
fn a_taken_pod_is_claimed_or_released() {
    let mut index = PodIndex::default();
    for name in ["p", "q"] {
        index.apply(Event::Apply(reserved(name, 1)));
        index.take(&format!("uid-{name}"), meant());
    }
    assert!(index.release("uid-p").is_some());
    assert_eq!(of(&index), [("q", true)]);
    assert!(index.release("uid-p").is_none(), "once");
    assert!(index.claimed("uid-q", "hello", "uid-hello", "r1", 5).is_some());
    assert!(index.get("uid-q").unwrap().reserved.is_none());
    assert!(index.release("uid-q").is_none(), "it is claimed");
    assert!(index.take("uid-q", meant()).is_none(), "it is not reserved");
}

#[test]
fn a_taken_pod_that_another_proxy_tells_of_is_known_before_and_after_the_watch_shows_it() {
    for watch_first in [true, false] {
        let mut index = PodIndex::default();
        if watch_first {
            index.apply(Event::Apply(reserved("p", 2)));
        }
        let mut told = Pod::of(&reserved("p", 2)).unwrap();
        told.state = Some(State::Claimed);
        (told.function, told.function_uid, told.revision) =
            (Some("hello".into()), Some("uid-hello".into()), Some("r1".into()));
        assert!(index.told(told.clone()).is_some());
        index.apply(Event::Apply(reserved("p", 3)));
        assert_eq!(of(&index), [("p", true)], "watch first: {watch_first}");
        index.apply(Event::Apply(pod("p", 4, json!({"muon.dev/state": "draining", "muon.dev/function": "hello"}))));
        assert!(index.told(told).is_none(), "it is late");
        assert_eq!(of(&index), [("p", false)]);
    }
}

#[test]
fn a_reservation_is_known_before_the_watch_tells_it() {
    let mut index = PodIndex::default();
    index.apply(Event::Apply(pod("p", 1, json!({"muon.dev/state": "free"}))));
    let mine = Reserved { by: "proxy-a".into(), until: 300 };
    assert!(index.reserved("uid-p", Some(mine.clone()), 2).is_some());
    assert_eq!((free(&index), index.get("uid-p").unwrap().reserved.clone()), (vec![], Some(mine)));
    assert!(index.reserved("uid-p", None, 3).unwrap().freed());
    assert!(index.reserved("uid-p", None, 2).is_none(), "an old answer undid what came later");
    assert_eq!(free(&index), ["p"]);
}
