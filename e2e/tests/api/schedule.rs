//! `scaling.schedule`: at the time that it names the minimum is another one, though nothing else happens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::apps::v1::Deployment;
use muon_crds::{ConditionType, Function, condition, names};
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::json;

use crate::installation::{environment, function, space};

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

#[tokio::test]
async fn api_schedule_raises_the_minimum_at_its_time() {
    let space = space("schedule-opens");
    environment(&space).await;
    // The next whole minute that leaves time to make the function.
    let opens = (now() + 10).next_multiple_of(60);
    let start = format!("{} {} * * *", opens / 60 % 60, opens / 3600 % 24);
    let more = json!({
        // Pods of its own, so that the operator alone decides how many.
        "env": [{"name": "A", "value": "b"}],
        "scaling": {"schedule": [{"start": start, "duration": "30m", "min": 2}]},
    });
    space.apply_value(function("own", more)).await;
    let own = space.ready::<Function>("own").await;
    let revision = own.status.and_then(|status| status.serving).expect("it is served").revision;
    let deployments = space.api::<Deployment>();
    let name = names::own_deployment("own", &revision);
    until("the window has opened", READY_WITHIN + Duration::from_secs(30), async || {
        (deployments.get(&name).await.ok()?.spec?.replicas? == 2).then_some(())
    })
    .await;
    assert!(now() >= opens, "it opened {} s early", opens - now());
    let said = until("the status says so", READY_WITHIN, async || {
        let scaling = space.api::<Function>().get("own").await.ok()?.status?.scaling?;
        (scaling.kept == 2).then_some(scaling)
    })
    .await;
    assert_eq!(said.reason, "Scheduled");
    assert!(said.message.starts_with("scaling.schedule[0] keeps 2 until 20"), "{}", said.message);
    assert!(said.until.is_some_and(|until| said.message.contains(&until)));
}

#[tokio::test]
async fn api_schedule_that_cannot_be_read_is_told() {
    let space = space("schedule-bad");
    environment(&space).await;
    let window = json!({"start": "0 8 * * *", "duration": "1h", "timeZone": "Europe/Bonn", "min": 1});
    space.apply_value(function("late", json!({"scaling": {"schedule": [window]}}))).await;
    let ready = until("it is told", READY_WITHIN, async || {
        let status = space.api::<Function>().get("late").await.ok()?.status?;
        condition::find(&status.conditions, ConditionType::Ready).cloned()
    })
    .await;
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "InvalidSchedule"));
    assert!(
        ready.message.contains("scaling.schedule[0].timeZone: \"Europe/Bonn\" is no time zone"),
        "{}",
        ready.message
    );
}
