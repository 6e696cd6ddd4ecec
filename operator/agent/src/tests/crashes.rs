//! What ends and comes back: the runtime, the agent, the pod.

use std::sync::atomic::Ordering;

use super::fakes::{Import, Runtime};
use super::pod::Pod;
use crate::status::RuntimeState;

#[tokio::test]
async fn a_pool_pod_is_ready_while_its_runtime_is() {
    let mut pod = Pod::new(Import::Works).await;
    pod.until_ready().await;
    for _ in 0..3 {
        pod.crash().await;
        pod.until(|status| status.readiness(true) == Err("RuntimeDown")).await;
        pod.restart().await;
        pod.until_ready().await;
    }
    assert_eq!(pod.runtime.loads(), 0);
}

async fn crash_and_return(pod: &mut Pod) {
    pod.until_ready().await;
    pod.crash().await;
    pod.until(|status| status.readiness(true).is_err()).await;
    pod.restart().await;
    pod.until_ready().await;
}

#[tokio::test]
async fn a_crashed_runtime_is_loaded_again_without_being_asked() {
    let mut pod = Pod::new(Import::Works).await;
    pod.load().await.unwrap();
    crash_and_return(&mut pod).await;
    assert_eq!((pod.runtime.loads(), pod.store.orders.lock().unwrap().len()), (2, 1));
    assert!(pod.load().await.unwrap().already);
}

#[tokio::test]
async fn a_runtime_without_health_is_asked_once_and_loaded_again_all_the_same() {
    let mut pod = Pod::with(Runtime { keep_alive: false, ..Runtime::new(Import::WorksV1) }, |_, _| {}).await;
    pod.load().await.unwrap();
    crash_and_return(&mut pod).await;
    assert_eq!(pod.runtime.loads(), 4, "both contracts, twice");
    assert_eq!(pod.runtime.health.load(Ordering::Relaxed), 2, "once for each life: the function has the path");
}

#[tokio::test]
async fn a_second_crash_ends_the_pod() {
    let mut pod = Pod::new(Import::Works).await;
    pod.load().await.unwrap();
    pod.until_ready().await;
    pod.crash().await;
    pod.restart().await;
    pod.until(|status| status.restarts == 1 && status.readiness(true).is_ok()).await;
    pod.crash().await;
    pod.until(|status| status.readiness(true) == Err("RuntimeCrashed")).await;
    pod.restart().await;
    pod.until(|status| status.runtime == RuntimeState::Up).await;
    assert_eq!((pod.readiness().as_str(), pod.runtime.loads()), ("RuntimeCrashed", 2));
    let error = pod.load().await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("RuntimeCrashed", 422));
    pod.agent.with_state(|state| assert_eq!(serde_json::to_value(state).unwrap()["crashed"], true));
    pod.replace_agent();
    assert_eq!(pod.readiness(), "RuntimeCrashed", "a new agent knows it too");
}

#[tokio::test]
async fn a_restart_that_nobody_saw_is_found_out() {
    // This server closes every connection after its answer: there is none to break.
    let runtime = Runtime { keep_alive: false, ..Runtime::new(Import::Works) };
    let mut pod = Pod::with(runtime, |_, _| {}).await;
    pod.until_ready().await;
    pod.load().await.unwrap();
    pod.crash().await;
    pod.restart().await;
    pod.until(|status| status.restarts == 1 && status.readiness(true).is_ok()).await;
    assert_eq!(pod.runtime.loads(), 2);
}

#[tokio::test]
async fn code_that_ends_the_runtime_while_it_is_imported_is_told_as_such() {
    let mut pod = Pod::new(Import::Ends).await;
    pod.until_ready().await;
    let error = pod.load().await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("RuntimeEnded", 502));
    pod.crash().await;
    pod.until(|status| status.restarts == 1).await;
    pod.restart().await;
    // The keeper tries once more by itself.
    pod.until(|status| status.runtime == RuntimeState::Up && status.readiness(true) == Err("RuntimeEnded")).await;
    pod.crash().await;
    pod.until(|status| status.readiness(true) == Err("RuntimeCrashed")).await;
}

#[tokio::test]
async fn a_new_agent_finds_the_code_loaded_and_leaves_it() {
    let mut pod = Pod::new(Import::Works).await;
    pod.load().await.unwrap();
    pod.replace_agent();
    pod.until_ready().await;
    assert!(pod.load().await.unwrap().already);
    assert_eq!(pod.runtime.loads(), 1);
}

#[tokio::test]
async fn a_new_agent_loads_a_runtime_that_came_back_before_it() {
    let mut pod = Pod::new(Import::Works).await;
    pod.load().await.unwrap();
    pod.crash().await;
    pod.restart().await;
    pod.replace_agent();
    pod.until_ready().await;
    assert_eq!((pod.runtime.loads(), pod.store.orders.lock().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn a_new_agent_takes_the_code_that_the_one_before_it_asked_for() {
    let mut pod = Pod::new(Import::Ends).await;
    assert_eq!(pod.load().await.unwrap_err().reason(), "RuntimeEnded");
    // Only the answer was lost: the runtime is there, and has the code.
    *pod.runtime.import.lock().unwrap() = Import::Fails(400, "Not a generic container");
    pod.replace_agent();
    pod.until_ready().await;
}

#[tokio::test]
async fn a_draining_pod_is_unready_and_takes_no_load() {
    let pod = Pod::new(Import::Works).await;
    pod.until_ready().await;
    pod.agent.drain();
    assert_eq!(pod.readiness(), "Draining");
    assert_eq!(pod.load().await.unwrap_err().reason(), "Draining");
}

#[tokio::test]
async fn a_runtime_restarted_in_place_ends_the_draining() {
    let mut pod = Pod::new(Import::Works).await;
    pod.load().await.unwrap();
    pod.until_ready().await;
    // Kubernetes calls the hook before it restarts a container whose liveness probe failed, too.
    pod.agent.drain();
    pod.crash().await;
    pod.until(|status| status.runtime == RuntimeState::Down).await;
    pod.restart().await;
    pod.until_ready().await;
    assert_eq!(pod.runtime.loads(), 2);
}
