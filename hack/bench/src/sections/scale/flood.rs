//! Many writes at once, as fast as the API server takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use http::{Method, Request};
use kube::Client;
use serde_json::Value;

use super::error::ScaleError;
use super::objects;

/// Writes under way at once.
const AT_ONCE: usize = 24;

/// Path of a collection of ours in the namespace of the object with this number.
pub(super) fn ours(plural: &str, number: usize) -> String {
    format!("/apis/muon.dev/v1alpha1/namespaces/{}/{plural}", objects::space(number))
}

/// Does `one` for every number below `count`, several at once; how long all took.
pub(super) async fn all<F>(
    count: usize,
    one: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Result<Duration, ScaleError>
where
    F: Future<Output = Result<(), ScaleError>> + Send,
{
    let (next, one, started) = (Arc::new(AtomicUsize::new(0)), Arc::new(one), Instant::now());
    let workers = (0..AT_ONCE.min(count)).map(|_| {
        let (next, one) = (Arc::clone(&next), Arc::clone(&one));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<(), ScaleError>(());
                }
                one(number).await?;
            }
        })
    });
    for done in try_join_all(workers).await? {
        done?;
    }
    Ok(started.elapsed())
}

/// Creates the objects with all numbers below `count`.
pub(super) async fn create(
    client: &Client,
    plural: &'static str,
    count: usize,
    object: fn(usize) -> Value,
) -> Result<Duration, ScaleError> {
    let client = client.clone();
    all(count, move |number| {
        let client = client.clone();
        async move { write(&client, Method::POST, &ours(plural, number), &object(number)).await.map(drop) }
    })
    .await
}

/// One write; the reply.
pub(super) async fn write(client: &Client, method: Method, path: &str, body: &Value) -> Result<String, ScaleError> {
    let kind = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    Ok(client.request_text(request.body(body.to_string().into_bytes())?).await?)
}

/// What a Function comes to, written by a client that thinks of nothing: the Function, its Service, its status before
/// and after the proxies have it, and the Event that tells of it. The numbers begin with `first`.
pub(super) async fn bare(client: &Client, first: usize, count: usize) -> Result<Duration, ScaleError> {
    let client = client.clone();
    all(count, move |number| {
        let (client, number) = (client.clone(), first + number);
        async move {
            let (space, name) = (objects::space(number), objects::name(number));
            let functions = ours("functions", number);
            let made = write(&client, Method::POST, &functions, &objects::function(number)).await?;
            let uid = uid(&made);
            let services = format!("/api/v1/namespaces/{space}/services");
            write(&client, Method::POST, &services, &objects::service(number, &space, &uid)).await?;
            for ready in [false, true] {
                let path = format!("{functions}/{name}/status");
                write(&client, Method::PATCH, &path, &objects::status(number, &space, ready)).await?;
            }
            let now = k8s_openapi::jiff::Timestamp::now();
            let events = format!("/apis/events.k8s.io/v1/namespaces/{space}/events");
            let event = objects::event(number, &space, &uid, &format!("{now:.6}"));
            write(&client, Method::POST, &events, &event).await.map(drop)
        }
    })
    .await
}

fn uid(object: &str) -> String {
    let object: Value = serde_json::from_str(object).unwrap_or_default();
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

/// Deletes all of a kind in the namespaces of the run.
pub(super) async fn clear(client: &Client, group: &str, plural: &str) -> Result<(), ScaleError> {
    let deletions = (0..objects::SPACES).map(|number| async move {
        let path = format!("{group}/namespaces/{}/{plural}", objects::space(number));
        let request = Request::delete(path).body(Vec::new())?;
        client.request_text(request).await?;
        Ok::<(), ScaleError>(())
    });
    try_join_all(deletions).await.map(drop)
}
