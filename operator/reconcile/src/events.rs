//! Events: what people read beside an object. Nothing is remembered of them. A note is made of a change, and changes
//! do not repeat by themselves, so there is no series to be kept; a memory of all Events of some minutes was, with ten
//! thousand objects, most of what the process held.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use muon_plan::{Note, NoteType};

use crate::call::{CallError, call};
use crate::status::cut;

/// Events carry at most this much text (the API's bound is 1 kB).
const MAX_NOTE: usize = 1000;
/// Of the object's name, at most this much is in the Event's.
const MAX_ABOUT: usize = 220;

/// Publishes Events under one controller's name. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    client: Client,
    controller: &'static str,
    instance: std::sync::Arc<str>,
}

impl Events {
    /// For one controller; `instance` is the pod's name.
    pub fn new(client: Client, controller: &'static str, instance: &str) -> Self {
        Self { client, controller, instance: instance.into() }
    }

    /// Publishes a note about an object.
    pub async fn publish(&self, regarding: ObjectReference, note: &Note) -> Result<(), CallError> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), regarding.namespace.as_deref().unwrap_or("default"));
        let event = self.event(regarding, note, Timestamp::now());
        call("publish an event", api.create(&PostParams::default(), &event)).await.map(drop)
    }

    fn event(&self, regarding: ObjectReference, note: &Note, now: Timestamp) -> Event {
        // A name has at most 253 characters, and none that is no letter or digit before a dot.
        let about = cut(regarding.name.as_deref().unwrap_or(self.controller), MAX_ABOUT);
        let about = about.trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
        Event {
            metadata: ObjectMeta {
                namespace: regarding.namespace.clone(),
                // As kubectl and the API server's own clients name them.
                name: Some(format!("{about}.{:x}", now.as_nanosecond())),
                ..ObjectMeta::default()
            },
            action: Some(note.action.to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(cut(&note.message, MAX_NOTE).to_owned()),
            reason: Some(note.reason.clone()),
            regarding: Some(regarding),
            reporting_controller: Some(self.controller.to_owned()),
            reporting_instance: Some(self.instance.to_string()),
            type_: Some(
                match note.type_ {
                    NoteType::Normal => "Normal",
                    NoteType::Warning => "Warning",
                }
                .to_owned(),
            ),
            ..Event::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::api;
    use serde_json::json;

    #[tokio::test]
    async fn an_event_has_a_name_that_the_api_server_takes() {
        let (client, log) = api(|_| (201, json!({"metadata": {}, "eventTime": null})));
        let note = Note { type_: NoteType::Warning, reason: "Bad".into(), action: "Serve", message: "x".repeat(2000) };
        let regarding = |name: &str| ObjectReference {
            name: Some(name.to_owned()),
            namespace: Some("demo".to_owned()),
            ..ObjectReference::default()
        };
        let events = Events::new(client, "muon.dev/function", "operator-0");
        events.publish(regarding("hello"), &note).await.unwrap();
        events.publish(regarding(&format!("{}-{}", "a".repeat(219), "b".repeat(30))), &note).await.unwrap();
        let [short, long] = log.writes().try_into().unwrap();
        assert!(short.path.contains("/namespaces/demo/events"), "{}", short.path);
        assert!(short.body["metadata"]["name"].as_str().unwrap().starts_with("hello."));
        assert_eq!(
            (short.body["type"].as_str(), short.body["note"].as_str().map(str::len)),
            (Some("Warning"), Some(MAX_NOTE))
        );
        let name = long.body["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 253 && !name.contains("-."), "{name}");
    }
}
