//! Watches, as calls: one function follows one kind for as long as the process lives.

use std::fmt::Debug;

use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use muon_proxy::Change;
use muon_reconcile::readable::Readable;
use muon_reconcile::watch::{paged, readable};
use serde::de::DeserializeOwned;

/// Follows a kind and hands every event on, oldest first. After an error it comes back by itself (with growing
/// pauses) and begins with a new list; what is known meanwhile stays known, so that warm traffic flows on.
pub(crate) async fn follow<K>(api: Api<K>, config: watcher::Config, mut hand_on: impl FnMut(Event<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let mut events = std::pin::pin!(watcher(api, paged(config)).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => hand_on(event),
            Err(error) => tracing::warn!(%error, kind, "the watch broke; it begins anew"),
        }
    }
}

/// Follows a kind of which users write the objects, in all namespaces: one that nobody can read is passed over.
pub(crate) async fn follow_readable<K>(client: &Client, config: watcher::Config, mut hand_on: impl FnMut(Event<K>))
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let api: Api<Readable<K>> = Api::all(client.clone());
    follow(api, config, move |event| {
        if let Some(event) = readable(event, |_| {}) {
            hand_on(event);
        }
    })
    .await;
}

/// Turns a watch's events into changes of the data plane. A list is held back until it is complete and applied in one
/// step: half a list must not pass for the whole. What is held back is not the objects, but what `of` makes of them.
pub(crate) fn changes<K, T>(
    of: impl Fn(muon_routes::Event<T>) -> Change,
    mut apply: impl FnMut(Vec<Change>),
) -> impl FnMut(Event<K>)
where
    K: Into<T>,
{
    let mut list = Vec::new();
    move |event| match event {
        Event::Init => list = vec![of(muon_routes::Event::Relist)],
        Event::InitApply(object) => list.push(of(muon_routes::Event::Apply(object.into()))),
        Event::InitDone => {
            list.push(of(muon_routes::Event::Listed));
            apply(std::mem::take(&mut list));
        }
        Event::Apply(object) => apply(vec![of(muon_routes::Event::Apply(object.into()))]),
        Event::Delete(object) => apply(vec![of(muon_routes::Event::Delete(object.into()))]),
    }
}
