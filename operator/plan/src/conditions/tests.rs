use muon_crds::condition::{find, is_true};
use proptest::prelude::*;

use super::*;

const BEFORE: &str = "2026-11-23T08:00:00Z";
const NOW: &str = "2026-11-23T12:00:00Z";

fn waiting() -> Invalid {
    Invalid::waiting(ConditionType::Resolved, "Waiting", "something is not there yet")
}

fn stalled() -> Invalid {
    Invalid::stalled(ConditionType::Resolved, "Wrong", "change it")
}

fn after(old: &[Condition], finding: Option<&Invalid>, now: &str) -> Vec<Condition> {
    merge(old, summary(finding, "Served", "all is well"), Some(3), now)
}

#[test]
fn the_time_is_that_of_the_last_change_of_status() {
    let first = after(&[], Some(&waiting()), BEFORE);
    let other_words = after(&first, Some(&stalled()), NOW);
    let ready = |conditions: &[Condition]| find(conditions, ConditionType::Ready).unwrap().clone();
    assert_eq!(ready(&other_words).last_transition_time, BEFORE, "still False: only the reason changed");
    assert_eq!(ready(&other_words).reason, "Wrong");
    let served = after(&other_words, None, NOW);
    assert_eq!(ready(&served).last_transition_time, NOW);
    assert_eq!(ready(&served).observed_generation, Some(3));
}

#[test]
fn the_same_said_again_is_the_same() {
    let first = after(&[], Some(&waiting()), BEFORE);
    assert_eq!(after(&first, Some(&waiting()), NOW), first, "or every visit would write the status");
}

#[test]
fn reconciling_and_stalled_come_and_go() {
    let waiting = after(&[], Some(&waiting()), BEFORE);
    assert!(is_true(&waiting, ConditionType::Reconciling) && find(&waiting, ConditionType::Stalled).is_none());
    let stalled = after(&waiting, Some(&stalled()), NOW);
    assert!(is_true(&stalled, ConditionType::Stalled) && find(&stalled, ConditionType::Reconciling).is_none());
    let served = after(&stalled, None, NOW);
    assert_eq!(served.len(), 1);
}

#[test]
fn people_are_told_of_changes_once() {
    let first = after(&[], Some(&stalled()), BEFORE);
    let told = notes(&[], &first, "Serve");
    assert_eq!((told.len(), told[0].type_, told[0].reason.as_str()), (1, NoteType::Warning, "Wrong"));
    assert!(notes(&first, &after(&first, Some(&stalled()), NOW), "Serve").is_empty());
    let served = after(&first, None, NOW);
    assert_eq!(notes(&first, &served, "Serve")[0].type_, NoteType::Normal);
    let step = Invalid::waiting(ConditionType::Ready, "Propagating", "a step on the way");
    assert!(notes(&[], &after(&[], Some(&step), NOW), "Serve").is_empty());
}

#[test]
fn a_long_message_is_cut() {
    let said = vec![yes(ConditionType::Ready, "Long", "ü".repeat(10_000))];
    let merged = merge(&[], said, None, NOW);
    assert_eq!(merged[0].message.chars().count(), MAX_MESSAGE + 1);
}

proptest! {
    #[test]
    fn merging_keeps_or_moves_the_time(was_true in any::<bool>(), is_true in any::<bool>(), reason in "[A-Z][a-z]{1,8}") {
        let say = |truth, reason: &str| if truth { yes(ConditionType::Stored, reason, "m") } else { no(ConditionType::Stored, reason, "m") };
        let old = merge(&[], vec![say(was_true, "Before")], Some(1), BEFORE);
        let new = merge(&old, vec![say(is_true, &reason)], Some(2), NOW);
        prop_assert_eq!(new[0].last_transition_time == NOW, was_true != is_true);
        prop_assert_eq!(&new[0].reason, &reason);
        prop_assert_eq!(new[0].observed_generation, Some(2));
    }
}
