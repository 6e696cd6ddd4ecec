//! `hack/bench/run`: figures as ratios, measured side by side in one interleaved run on the running node.
//!
//! Nothing here is compared with a number from elsewhere: the bare claim, the direct call and HAProxy are measured
//! in the same rounds as Muon, over the same network path.

mod audit;
mod cluster;
mod error;
mod haproxy;
mod http;
mod processor;
mod report;
mod rounds;
mod sample;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Measures the running node.
#[derive(Parser, Debug, Clone)]
pub(crate) struct Flags {
    /// Cold functions, one after another, each from a full pool.
    #[arg(long, default_value_t = 50)]
    pub(crate) cold: usize,
    /// Warm rounds, arms in turn.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Requests a second of the open-loop load.
    #[arg(long, default_value_t = 300.0)]
    pub(crate) rate: f64,
    /// Seconds of every load.
    #[arg(long, default_value_t = 4)]
    pub(crate) seconds: u64,
    /// Image of the runtime, as the node has it.
    #[arg(long, env = "MUON_BENCH_IMAGE")]
    pub(crate) image: String,
    /// The API server's audit log.
    #[arg(long, env = "MUON_AUDIT_LOG")]
    pub(crate) audit_log: PathBuf,
    /// Where the results go.
    #[arg(long, default_value = "hack/bench/results")]
    pub(crate) results: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("a cryptography provider is already installed");
        return ExitCode::FAILURE;
    }
    match rounds::run(&flags).await {
        Ok(report) => {
            println!("{}", report.table());
            if let Err(error) = report.write(&flags.results) {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
            println!("written: {0}/latest.json, {0}/latest.svg", flags.results.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
