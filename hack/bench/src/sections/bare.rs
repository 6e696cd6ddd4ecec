//! The bare primitives of this machine and cluster: what nothing built on them can be faster than.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::bed::{Bed, from};
use crate::context::Context;
use crate::error::Error;
use crate::row::Row;
use crate::samples::Samples;

/// What etcd writes for a small object.
const RECORD: usize = 2_300;

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "bare", async |bed| {
        let map: ConfigMap = from(json!({"metadata": {"name": "bare"}, "data": {"turn": "0"}}))?;
        bed.api::<ConfigMap>().create(&PostParams::default(), &map).await?;
        let (mut echo, mut sync, mut patch, mut event, mut pod) = Default::default();
        let bar = context.progress(context.flags.rounds(), "bare primitives");
        for round in context.rounds(0.75) {
            push(&mut echo, echoes(context.size(5_000, 1_000)).await?);
            push(&mut sync, syncs(context, context.size(300, 50))?);
            let (answered, told) = writes(bed, context.size(100, 20)).await?;
            push(&mut patch, answered);
            push(&mut event, told);
            let mut starts = Samples::default();
            for turn in 0..context.size(2, 1) {
                starts.push_ms(bed.bare_pod(&format!("bare-{round}-{turn}"), &context.image("native")?).await?);
            }
            push(&mut pod, starts);
            bar.inc(1);
        }
        bar.finish();
        Ok(vec![
            Row::new("bare.echo.p50", "ms", &echo).note("16 bytes over a loopback connection and back"),
            Row::new("bare.fdatasync.p50", "ms", &sync)
                .note("2.3 KB into a preallocated file, as etcd's log is written"),
            Row::new("bare.patch.p50", "ms", &patch).note("merge patch of a ConfigMap, one after another"),
            Row::new("bare.watch-event.p50", "ms", &event).note("from sending that patch to its watch event"),
            Row::new("bare.pod-start.p50", "ms", &pod).note("creation to Ready, without a probe, image present"),
        ])
    })
    .await
}

fn push(rounds: &mut Samples, samples: Samples) {
    rounds.push(samples.median());
}

async fn echoes(count: usize) -> Result<Samples, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    let (mut server, _) = listener.accept().await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::spawn(async move {
        let mut bytes = [0; 16];
        while server.read_exact(&mut bytes).await.is_ok() && server.write_all(&bytes).await.is_ok() {}
    });
    let (mut samples, mut bytes) = (Samples::default(), [0; 16]);
    for _ in 0..count {
        let begun = Instant::now();
        client.write_all(&bytes).await?;
        client.read_exact(&mut bytes).await?;
        samples.push_ms(begun.elapsed());
    }
    Ok(samples)
}

fn syncs(context: &Context, count: usize) -> Result<Samples, Error> {
    // Beside the results: on a disk, where /tmp may be memory.
    std::fs::create_dir_all(&context.flags.scratch)?;
    let path = context.flags.scratch.join(format!("fdatasync-{}", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    file.write_all(&vec![0; RECORD * count])?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let (mut samples, record) = (Samples::default(), [1; RECORD]);
    for _ in 0..count {
        let begun = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        samples.push_ms(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(samples)
}

/// Patches, each with its answer and its watch event.
async fn writes(bed: &Bed, count: usize) -> Result<(Samples, Samples), Error> {
    let maps = bed.api::<ConfigMap>();
    let version = maps.get("bare").await?.resource_version().unwrap_or_default();
    let selected = WatchParams::default().fields("metadata.name=bare");
    let mut events = Box::pin(maps.watch(&selected, &version).await?);
    let (mut answered, mut told) = (Samples::default(), Samples::default());
    for _ in 0..count {
        let begun = Instant::now();
        let turn = json!({"data": {"turn": crate::audit::now()}});
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(turn));
        let write = async {
            let made = maps.patch("bare", &parameters, &patch).await?;
            Ok::<_, Error>((made.resource_version(), begun.elapsed()))
        };
        let event = async {
            loop {
                match events.try_next().await? {
                    Some(WatchEvent::Modified(map)) => return Ok((map.resource_version(), begun.elapsed())),
                    Some(_) => {}
                    None => return Err(Error::Cluster("a watch ended".into())),
                }
            }
        };
        let ((wrote, answer), (saw, event)): ((_, Duration), (_, Duration)) = futures::try_join!(write, event)?;
        if wrote != saw {
            return Err(Error::Cluster("somebody else writes to the benchmark's ConfigMap".into()));
        }
        answered.push_ms(answer);
        told.push_ms(event);
    }
    Ok((answered, told))
}
