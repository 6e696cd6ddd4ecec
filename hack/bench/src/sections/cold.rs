//! Cold requests, one after another.

use crate::audit::{Audit, now};
use crate::bed::{Cluster, Kind};
use crate::context::Context;
use crate::error::Error;
use crate::load::Connection;
use crate::row::Row;
use crate::samples::Samples;

/// Generic pods that the pool keeps: enough that one cold start leaves free ones.
const POOL: usize = 4;

/// One bare claim, one cold request, in turn; every one with the pool proven full before it.
pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let cluster = Cluster::prepare(context.image("python")?, POOL as i32).await?;
    let result = measure(context, &cluster).await;
    cluster.remove().await?;
    result
}

async fn measure(context: &Context, cluster: &Cluster) -> Result<Vec<Row>, Error> {
    let cold = context.size(50, 6);
    let names: Vec<String> = (0..cold).map(|number| format!("cold-{number}")).collect();
    let bare: Vec<String> = (0..cold).map(|number| format!("bare-{number}")).collect();
    cluster.functions(&names, Kind::Pool).await?;
    let bare = cluster.bare_pods(&bare).await?;
    let proxies = cluster.proxies().await?;
    let (mut claim, mut request, mut writes) = (Samples::default(), Samples::default(), Samples::default());
    let bar = context.progress(names.len(), "cold requests");
    for (number, (name, pod)) in names.iter().zip(&bare).enumerate() {
        cluster.pool_full(POOL).await?;
        claim.push_ms(cluster.bare_claim(pod).await?);
        let mut connection = Connection::open(&cluster.route(proxies[number % proxies.len()], name)).await?;
        let audit = Audit::begin(&context.node.audit_log)?;
        request.push_ms(connection.get().await?);
        let replied = now();
        cluster.pods_of(name).await?;
        writes.push(audit.writes(&replied)?.len() as f64);
        bar.inc(1);
    }
    bar.finish();
    let bare = Row::new("cold.claim", "ms", &claim);
    Ok(vec![
        Row::new("cold.p50", "ms", &request).against(&bare).bar(2.0),
        bare,
        Row::new("cold.api-writes", "count", &writes).bar(1.0),
    ])
}
