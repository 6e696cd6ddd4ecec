//! Cold requests of functions that have a Deployment of their own, against the start of a bare pod.

use std::time::Instant;

use crate::bed::{Bed, Wanted};
use crate::context::Context;
use crate::error::Error;
use crate::load::Connection;
use crate::row::Row;
use crate::samples::Samples;

const NATIVE: &str = "native";

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "own", async |bed| {
        let each = context.size(2, 1);
        // The pool plays no part, and is kept as small as it may be.
        bed.environment(NATIVE, context.image(NATIVE)?, 0, 1).await?;
        let (mut bare, mut cold) = (Samples::default(), Samples::default());
        let bar = context.progress(2 * each * context.flags.rounds(), "own Deployments, cold");
        let mut dice = context.dice("own");
        for round in context.rounds(0.9) {
            let functions: Vec<Wanted> = Wanted::many(each, &format!("own-{round}"), NATIVE)
                .into_iter()
                .map(|function| Wanted { own: true, ..function })
                .collect();
            bed.functions(&functions).await?;
            let proxies = bed.proxies().await?;
            let (mut bare_round, mut cold_round) = (Samples::default(), Samples::default());
            for turn in dice.shuffled((0..2 * each).collect()) {
                match functions.get(turn) {
                    Some(function) => {
                        let target = bed.at(proxies[turn % proxies.len()].address, &function.name);
                        let mut connection = Connection::open(&target).await?;
                        let begun = Instant::now();
                        connection.get().await?;
                        cold_round.push_ms(begun.elapsed());
                        bed.delete(std::slice::from_ref(&function.name)).await?;
                    }
                    None => {
                        let name = format!("bare-{round}-{turn}");
                        bare_round.push_ms(bed.bare_pod(&name, &context.image(NATIVE)?).await?);
                    }
                }
                bed.empty().await?;
                bar.inc(1);
            }
            bare.push(bare_round.median());
            cold.push(cold_round.median());
        }
        bar.finish();
        let bare = Row::new("own.bare-pod.p50", "ms", &bare).note("creation to Ready, without a probe, image present");
        Ok(vec![
            Row::new("own.cold.p50", "ms", &cold)
                .against(&bare)
                .bar(1.1)
                .note("the first reply: a pod of two containers that has fetched and loaded the code"),
            bare,
        ])
    })
    .await
}
