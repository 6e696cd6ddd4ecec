use super::*;

fn proxy(name: &str, ready: bool) -> Proxy {
    Proxy { uid: name.to_owned(), name: name.to_owned(), ip: "127.0.0.1".to_owned(), ready }
}

fn seen(version: u64) -> Activity {
    let seen = Watermarks { functions: version, triggers: version, pods: version };
    Activity { seq: version, up_ms: 60_000, seen, ..Activity::default() }
}

fn pod(uid: &str, in_flight: u32, idle_ms: u64) -> PodActivity {
    PodActivity { uid: uid.to_owned(), in_flight, idle_ms, loaded: false, broken: false }
}

fn function(uid: &str, queued: u32, wanted: u32) -> FunctionActivity {
    FunctionActivity { uid: uid.to_owned(), in_flight: 0, queued, wanted, idle_ms: 0, loaded: 0 }
}

#[test]
fn a_version_is_served_when_the_slowest_ready_proxy_has_it() {
    let board = Board::default();
    assert_eq!(board.watermarks(), None, "no proxy serves nothing");
    board.set(vec![proxy("a", true), proxy("b", true), proxy("starting", false)]);
    assert_eq!(board.watermarks().unwrap().functions, 0, "none has told yet");
    board.record("a", seen(10));
    board.record("b", seen(8));
    assert_eq!(board.watermarks().unwrap().functions, 8);
    board.set(vec![proxy("a", true)]);
    assert_eq!(board.watermarks().unwrap().functions, 10, "one that is gone holds nothing up");
}

#[test]
fn who_waits_for_a_version_is_told_once_when_all_have_it() {
    let board = Board::default();
    board.set(vec![proxy("a", true), proxy("b", true)]);
    board.await_function("demo", "hello", 7);
    board.await_function("demo", "later", 9);
    board.await_trigger("demo", "route", 7);
    assert_eq!(board.record("a", seen(8)), Wakes::default());
    let wakes = board.record("b", seen(7));
    assert_eq!(wakes.functions, [ObjectRef::new("hello").within("demo")]);
    assert_eq!(wakes.triggers, [ObjectRef::new("route").within("demo")]);
    assert_eq!(board.record("b", seen(8)), Wakes::default());
    // One that held it up goes: that counts as well.
    assert_eq!(board.set(vec![]), Wakes::default());
}

#[test]
fn a_pod_is_as_idle_as_its_busiest_proxy_says() {
    let board = Board::default();
    board.set(vec![proxy("a", true), proxy("b", true)]);
    board.record("a", Activity { pods: vec![pod("p", 0, 5_000)], ..seen(9) });
    assert_eq!(board.usage("p", 9), None, "one has not told");
    board.record("b", seen(3));
    let usage = board.usage("p", 9).unwrap();
    assert_eq!((usage.used, usage.in_flight, usage.idle_ms, usage.seen), (true, 0, 5_000, false));
    board.record("b", Activity { pods: vec![pod("p", 2, 0)], ..seen(9) });
    let usage = board.usage("p", 9).unwrap();
    assert_eq!((usage.in_flight, usage.idle_ms, usage.seen), (2, 0, true));
    assert_eq!(board.may_be_idle_ms("p"), Some(0), "what is in use does not become idle by waiting");
}

#[test]
fn a_proxy_that_just_began_knows_of_no_idleness() {
    let board = Board::default();
    board.set(vec![proxy("new", true)]);
    board.record("new", Activity { up_ms: 100, ..seen(9) });
    assert_eq!(board.usage("p", 9).unwrap().idle_ms, 100);
}

#[test]
fn a_proxy_that_ends_still_finishes_its_requests() {
    let board = Board::default();
    board.set(vec![proxy("a", true), proxy("ending", true)]);
    board.record("a", seen(9));
    board.record("ending", Activity { pods: vec![pod("p", 1, 0)], ..seen(5) });
    board.set(vec![proxy("a", true), proxy("ending", false)]);
    let usage = board.usage("p", 9).unwrap();
    assert_eq!((usage.in_flight, usage.seen), (1, false));
    // It does not answer any more: whatever it had has ended with it.
    board.forget("ending");
    let usage = board.usage("p", 9).unwrap();
    assert_eq!((usage.in_flight, usage.seen), (0, true));
    board.forget("a");
    assert!(board.usage("p", 9).is_some(), "a ready proxy is not forgotten");
}

#[test]
fn more_demand_and_news_of_failures_wake_their_function_once() {
    let board = Board::default();
    board.set(vec![proxy("a", true)]);
    let asked = Activity { functions: vec![function("f", 1, 1)], ..seen(1) };
    assert_eq!(board.record("a", asked.clone()).uids, ["f"]);
    assert!(board.record("a", asked.clone()).uids.is_empty());
    let more = Activity { functions: vec![function("f", 1, 3)], ..seen(1) };
    assert_eq!(board.record("a", more).uids, ["f"]);
    assert!(board.record("a", asked.clone()).uids.is_empty(), "less demand is the idle loop's");
    let failure = LoadFailure {
        uid: "f".to_owned(),
        revision: "r".to_owned(),
        message: "no such module".to_owned(),
        reason: String::new(),
    };
    let failed = Activity { failures: vec![failure.clone()], ..asked.clone() };
    assert_eq!(board.record("a", failed.clone()).uids, ["f"]);
    assert!(board.record("a", failed).uids.is_empty());
    assert_eq!(board.failure("f"), Some(failure));
    assert_eq!(board.record("a", asked).uids, ["f"], "it loads again");
    assert_eq!(board.failure("f"), None);
}

#[test]
fn answers_of_proxies_that_are_gone_are_not_kept() {
    let board = Board::default();
    board.set(vec![proxy("a", true)]);
    board.record("stranger", seen(9));
    assert_eq!(board.watermarks().unwrap().pods, 0);
    board.record("a", Activity { functions: vec![function("f", 0, 2)], ..seen(1) });
    assert_eq!(board.wanted("f"), 2);
    board.set(vec![]);
    assert_eq!(board.wanted("f"), 0);
}

#[test]
fn who_has_other_loaded_pods_than_before_is_looked_at_without_hurry() {
    let board = Board::default();
    board.set(vec![proxy("a", true), proxy("b", true)]);
    let kept = |loaded| FunctionActivity { loaded, ..function("kept", 0, 0) };
    let told = |functions| Activity { functions, ..seen(9) };
    let wakes = board.record("a", told(vec![kept(1), function("other", 0, 0)]));
    assert_eq!((wakes.uids, wakes.loaded), (vec![], vec!["kept".to_owned()]));
    assert_eq!(board.record("a", told(vec![kept(1)])).loaded, Vec::<String>::new());
    assert_eq!(board.record("a", told(vec![])).loaded, ["kept"], "its pod is gone");
    board.record("b", Activity { pods: vec![PodActivity { loaded: true, ..pod("p", 0, 10) }], ..seen(9) });
    assert!(board.usage("p", 9).is_some_and(|usage| usage.loaded), "one who says so is enough");
}
