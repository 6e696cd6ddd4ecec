//! The store's keeper: tells it what is in use, so that it may delete the rest, and has stored again what it lost.
//!
//! In use is every digest that stands in the spec or the status of a Package or a Function, and what the pods of own
//! Deployments load: in the namespace in which it stands. Nobody has to remember to name a new sort of archive here;
//! what is named without need is kept without need, no more. What is needed that moment and stands nowhere yet is
//! younger than the store's grace period.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use muon_crds::wire::{LoadRequest, Lost, SweepRequest};
use muon_crds::{ConditionType, Package, condition, names};
use muon_order::Order;
use muon_plan::{Note, NoteType};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::context::Context;
use crate::objects::{Objects, Stored};
use crate::place::namespace_of;
use crate::store_client::StoreError;

/// How often the store is asked what it could not give: a cold request may wait for it.
const LOST: Duration = Duration::from_secs(2);
/// Kinds in which digests stand.
const KINDS: [&str; 2] = ["Package", "Function"];
const PREFIX: &[u8] = b"sha256:";

/// Keeps the store. Never ends.
pub async fn run(context: Arc<Context>) {
    let mut sweeps = interval(context.settings.sweep_every);
    let mut losses = interval(LOST);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    losses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut instance = None;
    loop {
        tokio::select! {
            _ = sweeps.tick() => said(sweep(&context).await),
            _ = losses.tick() => {
                // A store that cannot be reached is said by every Package that wants it, and with every sweep.
                let Ok(reply) = context.store.lost().await else { continue };
                restore(&context, &reply.lost).await;
                if instance.replace(reply.instance.clone()).is_some_and(|before| before != reply.instance) {
                    // It started anew, perhaps on an empty volume.
                    said(sweep(&context).await);
                }
            }
        }
    }
}

fn said(swept: Result<(), StoreError>) {
    if let Err(error) = swept {
        warn!(%error, "the store could not be told what is in use; later");
    }
}

/// One sweep.
pub async fn sweep(context: &Context) -> Result<(), StoreError> {
    if KINDS.iter().any(|kind| context.metrics.has_malformed(kind)) {
        // What it refers to is not known.
        warn!("nothing is swept from the store while there is a Package or Function that nobody can read");
        return Ok(());
    }
    let reply = context.store.sweep(&SweepRequest { live: live(context) }).await?;
    if reply.swept > 0 {
        info!(archives = reply.swept, bytes = reply.swept_bytes, "swept from the store: nothing refers to them");
    }
    let missing = reply.missing.into_iter().flat_map(|(namespace, digests)| {
        digests.into_iter().map(move |digest| Lost { namespace: namespace.clone(), digest, damaged: false })
    });
    restore(context, &missing.collect::<Vec<_>>()).await;
    Ok(())
}

/// What is in use, by namespace.
fn live(context: &Context) -> BTreeMap<String, BTreeSet<String>> {
    let mut live = BTreeMap::new();
    collect(&context.cache.packages, &mut live);
    collect(&context.cache.functions, &mut live);
    let verifier = context.signer.verifier();
    for deployment in context.cache.deployments.state() {
        let template = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let containers =
            template.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        let loads =
            containers.flat_map(|container| container.env.iter().flatten()).filter(|env| env.name == "MUON_LOAD");
        for load in loads.filter_map(|env| serde_json::from_str::<LoadRequest>(env.value.as_deref()?).ok()) {
            if let Ok(Order::Load(load)) = verifier.check(&load.order, 0) {
                live.entry(load.namespace).or_insert_with(BTreeSet::new).insert(load.digest);
            }
        }
    }
    live
}

/// The digests in all objects of a kind.
fn collect<K: Stored>(objects: &Objects<K>, live: &mut BTreeMap<String, BTreeSet<String>>) {
    for name in objects.names() {
        let Some(text) = objects.text(&name) else { continue };
        let mut found = digests(&text).peekable();
        if found.peek().is_some() {
            live.entry(name.namespace().to_owned()).or_default().extend(found);
        }
    }
}

/// All digests in a text.
fn digests(text: &[u8]) -> impl Iterator<Item = String> {
    let length = PREFIX.len() + 64;
    text.windows(length).filter(|window| window.starts_with(PREFIX)).filter_map(|window| {
        let digest = std::str::from_utf8(window).ok()?;
        names::is_digest(digest).then(|| digest.to_owned())
    })
}

/// Has the Packages whose archives the store lost looked at: from files, they are packed again; from elsewhere, fetched
/// again.
async fn restore(context: &Context, lost: &[Lost]) {
    if lost.is_empty() {
        return;
    }
    for name in context.cache.packages.names() {
        if !lost.iter().any(|lost| lost.namespace == name.namespace()) {
            continue;
        }
        let Some(package) = context.cache.packages.get(&name) else { continue };
        let Some(lost) = lost.iter().find(|lost| is_of(lost, &package)) else { continue };
        context.archives.doubt(&lost.namespace, &lost.digest);
        context.metrics.lost(if lost.damaged { "damaged" } else { "missing" });
        context.package.reporting.tell(package.as_ref(), &note(lost)).await;
        context.queues.packages.push(name);
    }
}

/// Whether it is what the Package's status says to be stored.
fn is_of(lost: &Lost, package: &Package) -> bool {
    let status = package.status.as_ref();
    lost.namespace == namespace_of(package)
        && status.is_some_and(|status| {
            status.digest.as_deref() == Some(lost.digest.as_str())
                && condition::is_true(&status.conditions, ConditionType::Stored)
        })
}

fn note(lost: &Lost) -> Note {
    let (reason, how) = match lost.damaged {
        true => ("ArchiveDamaged", "was damaged in the store and has been set aside"),
        false => ("ArchiveLost", "is no longer in the store"),
    };
    Note {
        type_: NoteType::Warning,
        reason: reason.to_owned(),
        action: "Store",
        message: format!("{} {how}; it is stored again from the Package's source", lost.digest),
    }
}

#[cfg(test)]
mod tests;
