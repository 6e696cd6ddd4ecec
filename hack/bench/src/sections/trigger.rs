//! From the creation of a route to the first reply by it, against the watch event of such an object.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::ResourceExt as _;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use muon_crds::HTTPTrigger;
use serde_json::json;

use crate::bed::{Bed, Wanted, from};
use crate::context::Context;
use crate::error::Error;
use crate::load::Connection;
use crate::row::Row;
use crate::samples::Samples;

const WARM: &str = "warm";
/// How often it is asked whether the route is there.
const POLL: Duration = Duration::from_micros(500);

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "trigger", async |bed| {
        bed.environment("native", context.image("native")?, 2, 2).await?;
        bed.functions(&[Wanted::new(WARM, "native")]).await?;
        let proxy = bed.proxies().await?.remove(0);
        let triggers = bed.api::<HTTPTrigger>();
        let version = triggers.list(&ListParams::default()).await?.metadata.resource_version;
        let version = version.unwrap_or_default();
        let mut events: Events = Box::pin(triggers.watch(&WatchParams::default(), &version).await?.boxed());
        let each = context.size(10, 5);
        let (mut event, mut reply) = (Samples::default(), Samples::default());
        let bar = context.progress(context.flags.rounds() * each * 2, "routes until they serve");
        let mut dice = context.dice("trigger");
        for round in context.rounds(0.8) {
            let (mut event_round, mut reply_round) = (Samples::default(), Samples::default());
            for turn in dice.shuffled((0..2 * each).collect()) {
                let name = format!("route-{round}-{turn}");
                // Asked just before, so that the pod is warm and the connection to the API server awake.
                let mut connection = Connection::open(&bed.at(proxy.address, WARM)).await?;
                connection.get().await?;
                match turn % 2 {
                    0 => event_round.push_ms(bare_event(bed, &mut events, &name).await?),
                    _ => reply_round.push_ms(served(bed, proxy.address, &name).await?),
                }
                // What follows a new route (status, Ingress) must not meet the next one.
                bed.ready(30).await?;
                bar.inc(1);
            }
            event.push(event_round.median());
            reply.push(reply_round.median());
        }
        bar.finish();
        let event = Row::new("trigger.watch-event.p50", "ms", &event)
            .note("from sending the creation of an HTTPTrigger to its watch event");
        Ok(vec![
            Row::new("trigger.first-200.p50", "ms", &reply)
                .against(&event)
                .bar(2.0)
                .stretch(1.3)
                .note("from sending the creation to the first 200, asked every 0.5 ms"),
            event,
        ])
    })
    .await
}

/// The watch of the whole section: a new one would first wait until the API server's cache has caught up.
type Events = std::pin::Pin<Box<dyn futures::Stream<Item = kube::Result<WatchEvent<HTTPTrigger>>> + Send>>;

async fn bare_event(bed: &Bed, events: &mut Events, name: &str) -> Result<Duration, Error> {
    let begun = Instant::now();
    let create = bed.route(name, WARM);
    let event = async {
        while let Some(event) = events.try_next().await? {
            if matches!(&event, WatchEvent::Added(trigger) if trigger.name_any() == name) {
                return Ok(begun.elapsed());
            }
        }
        Err(Error::Cluster("a watch ended".into()))
    };
    Ok(futures::try_join!(create, event)?.1)
}

async fn served(bed: &Bed, proxy: std::net::IpAddr, name: &str) -> Result<Duration, Error> {
    let trigger = json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": name},
        "spec": {"host": bed.host, "path": format!("/{name}"), "function": {"name": WARM}, "ingress": {}},
    });
    let triggers = bed.api::<HTTPTrigger>();
    let mut connection = Connection::open(&bed.at(proxy, name)).await?;
    let (parameters, trigger) = (PostParams::default(), from(trigger)?);
    let begun = Instant::now();
    let create = async { Ok::<_, Error>(triggers.create(&parameters, &trigger).await.map(|_| ())?) };
    let ask = async {
        while begun.elapsed() < Duration::from_secs(30) {
            match connection.get().await {
                Ok(()) => return Ok(begun.elapsed()),
                Err(Error::Status { .. }) => tokio::time::sleep(POLL).await,
                Err(error) => return Err(error),
            }
        }
        Err(Error::Waited { what: "a new route to serve".into(), seconds: 30, state: "it does not".into() })
    };
    Ok(futures::try_join!(create, ask)?.1)
}
