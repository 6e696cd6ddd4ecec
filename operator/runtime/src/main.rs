//! `muon`: one binary, one subcommand per process of the installation.
//!
//! This crate is the only place where the planes meet: flags, watches, the lease, telemetry and signals are
//! composed here, and nothing is decided here.

mod admin;
mod claim;
mod error;
mod flags;
mod operator;
mod peers;
mod proxy;
mod shutdown;
mod store;
mod store_address;
mod telemetry;
mod watches;

use clap::Parser as _;
use std::process::ExitCode;

use error::Error;
use flags::{Command, Flags};

fn main() -> ExitCode {
    let flags = Flags::parse();
    telemetry::logs(&flags.log);
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "stopped");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> Result<(), Error> {
    // One cryptography provider for the whole process; the libraries below ask for the installed one.
    rustls::crypto::ring::default_provider().install_default().map_err(|_| Error::Cryptography)?;
    let runtime = match &flags.command {
        // One thread serves: on the machines that this is made for, waking a second one costs more than it gives.
        Command::Proxy(flags) if flags.threads > 1 => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(flags.threads).enable_all().build()
        }
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    }
    .map_err(Error::Runtime)?;
    runtime.block_on(async {
        match flags.command {
            Command::Operator(flags) => operator::run(flags).await,
            Command::Proxy(flags) => proxy::run(flags).await,
            Command::Store(flags) => store::run(flags).await,
        }
    })
}
