//! One replica of several leads, and the next one when it ends.

use std::time::Duration;

use muon_e2e::control_plane::ControlPlane;
use muon_reconcile::leadership::Candidate;
use tokio::sync::watch;

/// Nobody waits until a Lease has run out.
const FOR_EVER: u64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(60);

async fn leads(receiver: &mut watch::Receiver<bool>) {
    tokio::time::timeout(PATIENCE, receiver.wait_for(|leads| *leads)).await.expect("in time").expect("it goes on");
}

#[tokio::test]
async fn api_a_replica_that_ends_is_followed_at_once() {
    let candidate = |identity: &str| Candidate {
        client: ControlPlane::shared().client(),
        namespace: "default".to_owned(),
        name: "leadership".to_owned(),
        identity: identity.to_owned(),
        seconds: FOR_EVER,
    };
    let (mut first, first_task) = candidate("first").campaign().await.unwrap();
    leads(&mut first).await;
    let (mut second, second_task) = candidate("second").campaign().await.unwrap();
    let (mut third, third_task) = candidate("third").campaign().await.unwrap();
    drop(first);
    first_task.await.unwrap().unwrap();
    let second_leads = tokio::select! {
        () = leads(&mut second) => true,
        () = leads(&mut third) => false,
    };
    let (next, next_task, mut last, last_task) = match second_leads {
        true => (second, second_task, third, third_task),
        false => (third, third_task, second, second_task),
    };
    assert!(!*last.borrow(), "one at a time");
    drop(next);
    next_task.await.unwrap().unwrap();
    leads(&mut last).await;
    drop(last);
    last_task.await.unwrap().unwrap();
}
