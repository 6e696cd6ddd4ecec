use super::*;

const TERMS: Terms = Terms { lease: 300, least: 60, grace: 30 };

fn by(name: &str, until: u64) -> Reserved {
    Reserved { by: name.into(), until }
}

fn seen<'a>(uid: &'a str, reserved: Option<&'a Reserved>) -> Seen<'a> {
    Seen { uid, reserved, open: reserved.is_none(), old: false, heir: true }
}

/// A ledger that holds these, reserved at 1000.
fn holding(uids: &[&str]) -> Ledger {
    let mut ledger = Ledger::new("a", TERMS);
    for uid in uids {
        ledger.end(uid, &Step::Reserve(by("a", 1300)), Outcome::Done);
    }
    ledger
}

#[test]
fn one_pod_stays_free_and_the_others_are_dealt_out() {
    let dealt = |generic, proxies, most| -> Vec<usize> {
        (0..proxies).map(|rank| seats(generic, rank, proxies, most)).collect()
    };
    assert_eq!(dealt(0, 2, 1), [0, 0]);
    assert_eq!(dealt(1, 2, 1), [0, 0]);
    assert_eq!(dealt(2, 2, 1), [1, 0]);
    assert_eq!(dealt(3, 2, 1), [1, 1]);
    assert_eq!(dealt(20, 2, 1), [1, 1]);
    assert_eq!(dealt(6, 3, 2), [2, 2, 1]);
    assert_eq!(dealt(6, 3, 0), [0, 0, 0]);
}

#[test]
fn a_reservation_is_made_and_given_back_before_it_ends() {
    let mut ledger = Ledger::new("a", TERMS);
    let free = [seen("p", None), seen("q", None)];
    let reserve = Step::Reserve(by("a", 1300));
    assert_eq!(ledger.next(&free, 1, 1000), [("p", reserve.clone())]);
    assert_eq!(ledger.next(&free, 1, 1000), [], "it is under way");
    assert_eq!(ledger.take("p", 1000), None, "not before it is done");
    ledger.end("p", &reserve, Outcome::Done);
    let mine = by("a", 1300);
    let pods = [seen("p", Some(&mine)), seen("q", None)];
    assert_eq!(ledger.next(&pods, 1, 1240), []);
    assert_eq!(ledger.next(&pods, 1, 1241), [("p", Step::Return(mine.clone()))]);
    assert_eq!(ledger.take("p", 1241), None, "it leaves");
    ledger.end("p", &Step::Return(mine), Outcome::Done);
    assert!(ledger.holds.is_empty());
}

#[test]
fn the_last_free_pod_is_not_reserved() {
    let mut ledger = Ledger::new("a", TERMS);
    assert_eq!(ledger.next(&[seen("p", None)], 1, 1000), []);
    let other = by("b", 1300);
    assert_eq!(ledger.next(&[seen("p", None), seen("q", Some(&other))], 1, 1000), []);
}

#[test]
fn more_than_its_seats_is_kept_unless_no_pod_is_free() {
    let mut ledger = holding(&["p"]);
    let mine = by("a", 1300);
    assert_eq!(ledger.next(&[seen("p", Some(&mine)), seen("q", None)], 0, 1000), []);
    assert_eq!(ledger.next(&[seen("p", Some(&mine))], 0, 1000), [("p", Step::Return(mine.clone()))]);
}

#[test]
fn what_is_of_an_old_pool_and_what_is_held_at_the_end_is_given_back_at_once() {
    let mut ledger = holding(&["p", "q"]);
    let mine = by("a", 1300);
    let old = Seen { old: true, ..seen("p", Some(&mine)) };
    assert_eq!(ledger.next(&[old], 2, 1001), [("p", Step::Return(mine.clone()))]);
    ledger.close();
    let pods = [seen("q", Some(&mine)), seen("r", None), seen("s", None)];
    assert_eq!(ledger.next(&pods, 2, 1001), [("q", Step::Return(mine.clone()))]);
}

#[test]
fn a_pod_is_taken_once_and_while_its_lease_is_long_enough() {
    let mut ledger = holding(&["p"]);
    assert_eq!(ledger.take("p", 1241), None);
    assert_eq!(ledger.take("p", 1240), Some(by("a", 1300)));
    assert_eq!(ledger.take("p", 1240), None, "once");
    let mine = by("a", 1300);
    assert_eq!(ledger.next(&[seen("p", Some(&mine))], 0, 9000), [], "it is never given back");
    ledger.settled("p");
    assert_eq!(ledger.next(&[seen("p", Some(&mine))], 0, 1240), [("p", Step::Retire(mine.clone()))]);
}

#[test]
fn what_nobody_remembers_is_retired() {
    let former = by("a", 1300);
    assert_eq!(
        Ledger::new("a", TERMS).next(&[seen("p", Some(&former))], 1, 1000),
        [("p", Step::Retire(former.clone()))]
    );
    let gone = by("b", 1300);
    let at = |now, heir| {
        let pod = Seen { heir, ..seen("p", Some(&gone)) };
        Ledger::new("a", TERMS).next(&[pod], 1, now).len()
    };
    assert_eq!((at(1330, true), at(1331, true), at(1331, false)), (0, 1, 0));
}

#[test]
fn what_the_watch_shows_to_be_anothers_is_forgotten() {
    let mut ledger = holding(&["p", "q"]);
    let (mine, others) = (by("a", 1300), by("b", 1300));
    ledger.forget(|uid| Some(if uid == "p" { &mine } else { &others }));
    assert_eq!((ledger.take("p", 1000).is_some(), ledger.take("q", 1000).is_some()), (true, false));
}
