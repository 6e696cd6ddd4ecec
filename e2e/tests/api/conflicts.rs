//! Two triggers want one route: the older has it, then the one whose name comes first; the other says who.

use kube::ResourceExt as _;
use muon_crds::{ConditionType, Function, HTTPTrigger};
use muon_e2e::space::{Space, says};
use muon_e2e::wait::until;
use serde_json::{Value, json};

use crate::installation::{environment, function, space, trigger};

const HOST: &str = "conflicts.example";

async fn scene(name: &str) -> Space {
    let space = space(name);
    environment(&space).await;
    space.apply_value(function("hello", json!({}))).await;
    space.ready::<Function>("hello").await;
    space
}

fn on(path: &str, more: Value) -> Value {
    let mut spec = json!({"host": HOST, "path": path});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// Waits until the trigger has lost, and gives what it says.
async fn lost(space: &Space, name: &str) -> String {
    let loser = space
        .has::<HTTPTrigger>(name, "Accepted=False for Conflict", |it| {
            says(it, ConditionType::Accepted).is_some_and(|found| found.status == "False" && found.reason == "Conflict")
        })
        .await;
    says(&loser, ConditionType::Accepted).expect("it is there").message.clone()
}

#[tokio::test]
async fn api_older_trigger_wins_and_the_other_inherits() {
    let space = scene("conflicts-age").await;
    space.apply_value(trigger("z-older", "hello", on("/age/{id}", json!({})))).await;
    let older = space.ready::<HTTPTrigger>("z-older").await;
    // Times of creation are whole seconds: a younger one is of another second.
    let mut tries = 0;
    let younger = until("a second has passed", muon_e2e::space::READY_WITHIN, async || {
        tries += 1;
        let name = format!("a-younger-{tries}");
        // The name of a parameter makes no difference: it is the same route.
        space.apply_value(trigger(&name, "hello", on("/age/{name}", json!({})))).await;
        let made = space.api::<HTTPTrigger>().get(&name).await.ok()?;
        if made.creation_timestamp() > older.creation_timestamp() {
            return Some(name);
        }
        space.delete::<HTTPTrigger>(&name).await;
        None
    })
    .await;
    let message = lost(&space, &younger).await;
    assert!(message.contains("z-older"), "the winner is named: {message}");
    space.ready::<HTTPTrigger>("z-older").await;
    space.delete::<HTTPTrigger>("z-older").await;
    space.ready::<HTTPTrigger>(&younger).await;
}

/// Of several with the same age the first by name wins; whoever is older wins over any name.
#[tokio::test]
async fn api_one_of_many_triggers_wins() {
    let space = scene("conflicts-many").await;
    let names = ["d", "b", "c", "a"];
    for name in names {
        space.apply_value(trigger(name, "hello", on("/many", json!({})))).await;
    }
    let triggers = space.api::<HTTPTrigger>();
    let mut all = Vec::new();
    for name in names {
        let made = triggers.get(name).await.unwrap();
        all.push((made.creation_timestamp().map(|time| time.0), name));
    }
    all.sort();
    let winner = all[0].1;
    space.ready::<HTTPTrigger>(winner).await;
    for (_, name) in &all[1..] {
        let message = lost(&space, name).await;
        assert!(message.contains(&format!("/{winner}")) || message.contains(winner), "{name}: {message}");
    }
}

#[tokio::test]
async fn api_other_methods_hosts_and_paths_are_no_conflict() {
    let space = scene("conflicts-none").await;
    let specs = [
        ("get", on("/x", json!({"methods": ["GET"]}))),
        ("post", on("/x", json!({"methods": ["POST"]}))),
        ("static", on("/x/y", json!({}))),
        ("param", on("/x/{id}", json!({}))),
        ("host", json!({"host": "other.conflicts.example", "path": "/x"})),
        ("star", json!({"host": "*.conflicts.example", "path": "/x"})),
    ];
    for (name, spec) in &specs {
        space.apply_value(trigger(name, "hello", spec.clone())).await;
    }
    for (name, _) in &specs {
        space.ready::<HTTPTrigger>(name).await;
    }
}
