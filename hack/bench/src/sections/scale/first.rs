//! From the making of a trigger to the first request that it answers, beside the watch event that tells of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use http::{Method, Request};
use muon_crds::words;
use serde_json::json;

use super::error::ScaleError;
use super::flood::{ours, write};
use super::plane::{Plane, until};
use super::{objects, web};
use crate::samples::Samples;

/// Between two requests that ask whether the route is there.
const ASK: Duration = Duration::from_micros(300);
const WITHIN: Duration = Duration::from_secs(10);

/// Milliseconds, in the order of the triggers.
#[derive(Default)]
pub(super) struct Firsts {
    /// Until the first 200.
    pub(super) replies: Samples,
    /// Until a watch that does nothing else has the event.
    pub(super) events: Samples,
}

/// Makes so many triggers, one after another, of a function that has a pod.
pub(super) async fn measure(plane: &Plane, count: usize) -> Result<Firsts, ScaleError> {
    warm(plane).await?;
    let path = "/apis/muon.dev/v1alpha1/httptriggers?watch=true&timeoutSeconds=3600";
    let version = plane.client.request::<serde_json::Value>(list()?).await?;
    let version = version["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let watch = Request::get(format!("{path}&resourceVersion={version}")).body(Vec::new())?;
    let mut events = std::pin::pin!(plane.client.request_stream(watch).await?.lines());
    let mut firsts = Firsts::default();
    for number in 0..count {
        let name = format!("first-{number}");
        let host = format!("{name}.example.org");
        let trigger = json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": name},
            "spec": {"host": host, "path": "/", "function": {"name": objects::name(0)}},
        });
        let started = Instant::now();
        let told = async {
            let mark = format!(r#""name":"{name}""#);
            while let Some(line) = events.try_next().await? {
                if line.contains(&mark) {
                    return Ok(started.elapsed());
                }
            }
            Err(ScaleError::Proxy("the watch ended".to_owned()))
        };
        let replied = async {
            while web::get(gateway(), &host, "/").await? != 200 {
                if started.elapsed() > WITHIN {
                    return Err(ScaleError::Waited { what: format!("the route of {name}"), within: WITHIN });
                }
                tokio::time::sleep(ASK).await;
            }
            Ok(started.elapsed())
        };
        let triggers = ours("httptriggers", 0);
        let (_, told, replied) =
            tokio::try_join!(write(&plane.client, Method::POST, &triggers, &trigger), told, replied)?;
        firsts.events.push_ms(told);
        firsts.replies.push_ms(replied);
    }
    Ok(firsts)
}

fn list() -> Result<Request<Vec<u8>>, ScaleError> {
    Ok(Request::get("/apis/muon.dev/v1alpha1/httptriggers?limit=1").body(Vec::new())?)
}

fn gateway() -> SocketAddr {
    ([127, 0, 0, 1], words::PORT_GATEWAY).into()
}

/// Gives function 0 a pod, which its first request claims.
async fn warm(plane: &Plane) -> Result<(), ScaleError> {
    web::pod().await?;
    let metadata = json!({
        "name": "free-0",
        "labels": {
            words::ENVIRONMENT: "python", words::STATE: "free", words::POOL: "12345678", words::MANAGED_BY: words::MUON,
        },
        "annotations": {words::RUNTIME_PORT: words::PORT_RUNTIME.to_string()},
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "python-pool-12345678", "controller": true,
            "uid": "00000000-0000-4000-8000-000000000001",
        }],
    });
    plane.pod(&objects::space(0), metadata, web::POD.into()).await?;
    let host = format!("{}.{}", objects::name(0), objects::space(0));
    until("function 0 to answer", async || {
        let names = SocketAddr::from(([127, 0, 0, 1], words::PORT_FUNCTIONS));
        Ok(web::get(names, &host, "/").await? == 200)
    })
    .await
}
