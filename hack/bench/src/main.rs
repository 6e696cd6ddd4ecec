//! `hack/bench/run`: figures as ratios, measured side by side in one interleaved run on the running node.
//!
//! Nothing here is compared with a number from elsewhere: the bare primitives, the direct call and the other proxies
//! are measured in the same rounds as Muon, over the same network path.

mod arm;
mod audit;
mod bed;
mod cgroup;
mod context;
mod dice;
mod error;
mod flags;
mod load;
mod plan;
mod report;
mod row;
mod samples;
mod scrape;
mod section;
mod sections;

use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use clap::Parser as _;

use crate::context::Context;
use crate::error::Error;
use crate::flags::Flags;
use crate::load::Flood;
use crate::plan::Plan;
use crate::report::{Part, Report};
use crate::section::Section;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    if flags.list {
        println!("{}", flags.chosen().iter().map(Section::name).collect::<Vec<_>>().join(" "));
        return ExitCode::SUCCESS;
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("a cryptography provider is already installed");
        return ExitCode::FAILURE;
    }
    if let Some(flood) = &flags.flood {
        return match Flood::run(flood).await {
            Ok(told) => {
                println!("{told}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    match run(flags).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every section could be measured.
async fn run(flags: Flags) -> Result<bool, Error> {
    let plan = Plan::new(flags.chosen(), flags.quick);
    eprintln!("{}", plan.text());
    let mut context = Context::new(flags.clone(), &plan, &std::env::var("MUON_BENCH_NODE").unwrap_or_default()).await?;
    let kept = Report::kept(&flags.results);
    let mut report = Report::new(flags.command());
    for (number, (section, _)) in plan.sections().iter().enumerate() {
        context.begin(&plan, number);
        report.sections.push(measure(*section, &context).await);
        // Written after each: what has been measured is not lost with what comes.
        report.write(&flags.scratch)?;
    }
    drop(context);
    println!("{}", report.table());
    if let Some(kept) = &kept {
        println!("{}", report.compared(kept));
    }
    let mut place = &flags.scratch;
    if flags.whole() || flags.keep {
        place = &flags.results;
        let report = match kept {
            Some(kept) if !flags.whole() => report.onto(kept),
            _ => report.clone(),
        };
        report.write(place)?;
        report.publish(std::path::Path::new("README.md"))?;
    }
    println!("written: {0}/latest.json, {0}/latest.svg", place.display());
    Ok(report.sections.iter().all(|part| part.failed.is_none()))
}

/// One section; that it fails is a result too, and the next is measured all the same.
async fn measure(section: Section, context: &Context) -> Part {
    let at = k8s_openapi::jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    let begun = Instant::now();
    let (mut rows, mut failed) = match section.rows(context).await {
        Ok(rows) => (rows, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    // JSON has no word for what is not a number, and neither has a reader.
    rows.retain(|row| {
        let measured = row.rounds.iter().all(|round| round.is_finite()) && row.value.is_finite();
        if !measured {
            failed = Some(format!("{} gave no figure", row.id));
        }
        measured
    });
    if let Some(failed) = &failed {
        context.say(&format!("{}: {failed}", section.name()));
    }
    Part {
        section: section.name(),
        command: context.flags.command(),
        at: format!("{at:.0}"),
        seconds: begun.elapsed().as_secs(),
        failed,
        rows,
    }
}
