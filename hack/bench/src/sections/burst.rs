//! Many first requests at once.

use std::time::Instant;

use crate::bed::{Cluster, Kind};
use crate::context::Context;
use crate::error::Error;
use crate::load::Connection;
use crate::row::Row;

const POOL: usize = 4;
const BURST: &str = "burst";

/// Fifty requests at once to one cold function, spread over all proxies.
pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let cluster = Cluster::prepare(context.image("python")?, POOL as i32).await?;
    cluster.functions(&[BURST.to_owned()], Kind::Pool).await?;
    cluster.pool_full(POOL).await?;
    let proxies = cluster.proxies().await?;
    let mut connections = Vec::new();
    for number in 0..50 {
        connections.push(Connection::open(&cluster.route(proxies[number % proxies.len()], BURST)).await?);
    }
    let start = Instant::now();
    let replies = futures::future::join_all(connections.iter_mut().map(Connection::get)).await;
    let took = start.elapsed().as_secs_f64() * 1e3;
    let failed = replies.iter().filter(|reply| reply.is_err()).count() as f64;
    let pods = cluster.pods_of(BURST).await?.len() as f64;
    cluster.remove().await?;
    Ok(vec![
        Row::once("burst.one.last-reply", "ms", took),
        Row::once("burst.one.errors", "count", failed).bar(0.0),
        Row::once("burst.one.claims", "count", pods).bar(1.0),
    ])
}
