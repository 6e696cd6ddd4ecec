//! The control plane at scale (rows 11 to 14): ten thousand Functions, Packages and HTTPTriggers on a real etcd and
//! kube-apiserver, with our own processes beside them under their own accounts.
//!
//! ```text
//!   bare writes │ operator, store, proxy start │ Packages │ Functions: created → Ready │ HTTPTriggers │ quiet: memory
//!   │ trigger → first 200 │ operator restarted │ API server restarted, all lists anew │ bare writes again
//! ```
//!
//! There is no node: nothing but the control plane is measured. Writes are counted in the API server's audit log.

mod count;
mod error;
mod first;
mod flood;
mod lookup;
mod objects;
mod plane;
mod process;
mod web;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use muon_crds::Function;
use muon_e2e::audit::Mark;

use error::ScaleError;
use plane::Plane;
use process::{Memory, Process};

use crate::context::Context;
use crate::error::Error;
use crate::row::Row;
use crate::samples::Samples;

/// Objects of each kind.
const COUNT: usize = 10_000;
const QUICK: usize = 500;
/// Bare writes are made for one Function in so many.
const BARE: usize = 5;
const OPERATOR: &str = "system:serviceaccount:muon-system:muon-operator";
/// No stage of the run may take longer.
const STAGE: Duration = Duration::from_secs(240);
/// Triggers made one after another.
const FIRSTS: usize = 30;
/// Triggers that route lookups are measured with.
const FEW: usize = 10;
const SOME: usize = 10_000;
const MANY: usize = 100_000;

/// What one start or relist of the operator came to.
struct Resync {
    seconds: f64,
    memory: Memory,
    writes: usize,
}

/// Measures with the program as it is shipped.
pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let failed = |why: String| Error::Program { program: "the control plane at scale".to_owned(), why };
    let muon = context.node.programs.get("muon");
    let muon = muon.ok_or_else(|| failed("hack/bench/run named no program muon".to_owned()))?;
    measure(context, muon, context.size(COUNT, QUICK)).await.map_err(|error| failed(error.to_string()))
}

/// Measures with `count` objects of each kind.
async fn measure(context: &Context, muon: &Path, count: usize) -> Result<Vec<Row>, ScaleError> {
    let say = Progress { context, begun: Instant::now() };
    let plane = Plane::start(muon).await?;
    say.step("etcd and kube-apiserver run");
    // Fewer: what one costs is what counts.
    let some = count.div_ceil(BARE);
    let bare_before = flood::bare(&plane.client, 0, some).await?.as_secs_f64();
    cleared(&plane).await?;
    say.step("bare writes");

    for number in 0..objects::SPACES {
        plane.post(&flood::ours("environments", number), &objects::environment()).await?;
    }
    let mut operator = plane.operator().await?;
    let _store = plane.store().await?;
    let address = plane::own_address()?;
    let mut proxy = plane.proxy(address).await?;
    operator.quiet(STAGE).await?;
    let (operator_empty, proxy_empty) = (operator.memory()?, proxy.memory()?);
    say.step("operator, store and proxy run");

    let packages = made(&plane, "packages", count, objects::package).await?;
    say.step("Packages are ready");
    operator.quiet(STAGE).await?;
    let (mark, before) = (plane.api.audit().mark(), operator.processor()?);
    let functions = made(&plane, "functions", count, objects::function).await?;
    say.step("Functions are ready");
    operator.quiet(STAGE).await?;
    let functions_cost = operator.processor()? - before;
    let written = writes(&plane, mark);
    let proxy_functions = proxy.memory()?;
    let triggers = made(&plane, "httptriggers", count, objects::trigger).await?;
    say.step("HTTPTriggers are ready");
    operator.quiet(STAGE).await?;
    let (steady, proxy_full) = (operator.memory()?, proxy.memory()?);
    let firsts = first::measure(&plane, FIRSTS).await?;
    say.step("triggers, one after another");
    proxy.check()?;
    operator.quiet(STAGE).await?;

    drop(operator);
    let mark = plane.api.audit().mark();
    let mut operator = plane.operator().await?;
    let restart = resync(&plane, &mut operator, 0.0, mark).await?;
    say.step("operator restarted");
    operator.forget_peak()?;
    let (mark, before) = (plane.api.audit().mark(), operator.processor()?);
    tokio::task::spawn_blocking(|| muon_e2e::control_plane::ControlPlane::shared().restart_api()).await?;
    let relist = resync(&plane, &mut operator, before, mark).await?;
    say.step("API server restarted, everything listed anew");
    proxy.quiet(STAGE).await?;
    let proxy_relisted = proxy.memory()?;

    drop(operator);
    drop(proxy);
    let bare_after = flood::bare(&plane.client, count, some).await?.as_secs_f64();
    say.step("bare writes again");
    let lookups = tokio::task::spawn_blocking(|| [FEW, SOME, MANY].map(lookup::measure)).await?;
    say.step("lookups");

    let per = |seconds: f64, count: usize| seconds * 1e3 / count.max(1) as f64;
    let bare_row = Row::new("scale.bare", "ms", &Samples::from(vec![per(bare_before, some), per(bare_after, some)]))
        .note("per Function: the same writes by a client that thinks of nothing, before and after");
    let made = vec![per(functions.as_secs_f64(), count); 2];
    let kilobytes = |from: Memory, to: Memory| (to.resident - from.resident) * 1e3 / count.max(1) as f64;
    let mut rows = vec![
        Row::new("scale.functions", "ms", &Samples::from(made))
            .against(&bare_row)
            .bar(1.3)
            .stretch(1.1)
            .note(format!("per Function, created to Ready, {count} at once")),
        Row::once("scale.functions.cpu", "ms", per(functions_cost, count)).note("the operator's, per Function"),
        bare_row,
        Row::once("scale.packages", "ms", per(packages.as_secs_f64(), count)),
        Row::once("scale.httptriggers", "ms", per(triggers.as_secs_f64(), count)),
    ];
    for (what, times) in written {
        rows.push(Row::once(format!("scale.writes.{what}"), "1", times as f64 / count.max(1) as f64));
    }
    rows.extend([
        Row::once("scale.operator.empty", "MB", operator_empty.resident),
        Row::once("scale.operator.rss", "MB", steady.resident).bar(60.0).stretch(40.0).note("after making them all"),
        Row::once("scale.operator.restart.rss", "MB", restart.memory.resident).bar(60.0).stretch(40.0),
        peak("scale.operator.restart.peak", restart.memory),
        Row::once("scale.operator.restart.cpu", "s", restart.seconds).bar(2.0),
        Row::once("scale.operator.restart.writes", "1", restart.writes as f64).bar(0.0),
        peak("scale.operator.relist.peak", relist.memory),
        Row::once("scale.operator.relist.cpu", "s", relist.seconds).bar(2.0).stretch(0.5),
        Row::once("scale.operator.relist.writes", "1", relist.writes as f64).bar(0.0),
        Row::once("scale.proxy.empty", "MB", proxy_empty.resident),
        Row::once("scale.proxy.function", "kB", kilobytes(proxy_empty, proxy_functions)).bar(1.0).stretch(0.256),
        Row::once("scale.proxy.httptrigger", "kB", kilobytes(proxy_functions, proxy_full)),
        Row::once("scale.proxy.relisted", "MB", proxy_relisted.resident),
        Row::once("scale.proxy.peak", "MB", proxy_relisted.peak),
    ]);
    let event = Row::new("scale.trigger.event", "ms", &firsts.events);
    let reply = Row::new("scale.trigger.first", "ms", &firsts.replies).against(&event).bar(2.0).stretch(1.3);
    let [few, some, many] = lookups.map(Samples::from);
    let few = Row::new("scale.lookup.10", "us", &few).bar(1.0);
    let some = Row::new("scale.lookup.10k", "us", &some).against(&few).bar(1.2);
    let many = Row::new("scale.lookup.100k", "us", &many).bar(1.0);
    rows.extend([reply, event, few, some, many]);
    Ok(rows)
}

/// Makes all objects of a kind; from the first until the last is ready.
async fn made(
    plane: &Plane,
    plural: &'static str,
    count: usize,
    object: fn(usize) -> serde_json::Value,
) -> Result<Duration, ScaleError> {
    let counting = count::ready(&plane.client, plural, count).await?;
    let started = Instant::now();
    flood::create(&plane.client, plural, count, object).await?;
    let ended = counting.end(STAGE).await?;
    Ok(ended.saturating_duration_since(started))
}

/// Removes what bare writes have made: the operator is to begin with nothing.
async fn cleared(plane: &Plane) -> Result<(), ScaleError> {
    flood::clear(&plane.client, "/apis/muon.dev/v1alpha1", "functions").await?;
    flood::clear(&plane.client, "/api/v1", "services").await?;
    plane::until("the bare objects to be gone", async || {
        Ok(plane.count::<Function>().await? == 0 && plane.count::<Service>().await? < 10)
    })
    .await
}

/// Waits until the operator has looked at everything.
async fn resync(plane: &Plane, operator: &mut Process, before: f64, mark: Mark) -> Result<Resync, ScaleError> {
    operator.quiet(STAGE).await?;
    let writes = plane.api.audit().writes_by(OPERATOR, mark);
    for write in writes.iter().take(5) {
        eprintln!("  written: {write}");
    }
    Ok(Resync { seconds: operator.processor()? - before, memory: operator.memory()?, writes: writes.len() })
}

/// Successful writes of the operator since the mark, by what was written.
fn writes(plane: &Plane, mark: Mark) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for entry in plane.api.audit().since(mark) {
        let object = entry.object();
        if entry.user().starts_with(OPERATOR) && object.resource != "leases" {
            let what = [object.resource, object.subresource].join(".");
            *found.entry(what.trim_end_matches('.').to_owned()).or_insert(0) += 1;
        }
    }
    found
}

fn peak(id: &str, memory: Memory) -> Row {
    Row::once(id, "MB", memory.peak)
        .against(&Row::once(format!("{id}.steady"), "MB", memory.resident))
        .bar(1.3)
        .note("the most that it held, against what it held afterwards")
}

/// Says how far the section is: it takes minutes.
struct Progress<'a> {
    context: &'a Context,
    begun: Instant,
}

impl Progress<'_> {
    fn step(&self, what: &str) {
        self.context.say(&format!("  {:>5.1} s  {what}", self.begun.elapsed().as_secs_f64()));
    }
}
