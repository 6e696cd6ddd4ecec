//! `muon`: one binary, one subcommand per process of the installation.
//!
//! This crate is the only place where the planes meet: flags, watches, the lease, telemetry and signals are
//! composed here, and nothing is decided here.

mod admin;
mod claim;
mod cli;
mod error;
mod flags;
mod local;
#[cfg(test)]
mod monitoring;
mod openmetrics;
mod operator;
mod peers;
mod proxy;
mod serving;
mod shutdown;
mod store;
mod store_address;
mod telemetry;
mod traces;
mod watches;

use std::process::ExitCode;
use std::time::Duration;

use error::Error;
use flags::{Command, Flags};
use muon_proxy::Appender;

fn main() -> ExitCode {
    // One cryptography provider for the whole process; the libraries below ask for the installed one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        muon_cli::output::note(&Error::Cryptography.to_string());
        return ExitCode::FAILURE;
    }
    let flags = match cli::flags() {
        Flags { command: Command::Cli(command), connection, .. } => return cli::run(command, &connection),
        flags => flags,
    };
    // A proxy waits for nobody, whoever reads its log; the others say little.
    let appender = match &flags.command {
        Command::Proxy(_) => telemetry::appender(),
        _ => None,
    };
    let local = matches!(flags.command, Command::Run(_) | Command::Test(_));
    if local {
        telemetry::terminal(&flags.log);
    } else {
        telemetry::logs(&flags.log, appender.clone());
    }
    let ended = run(flags, appender.clone());
    let code = match ended {
        Ok(code) => code,
        Err(error) if local => {
            muon_cli::output::note(&format!("error: {error}"));
            ExitCode::from(NOT_DONE)
        }
        Err(error) => {
            tracing::error!(%error, "stopped");
            ExitCode::FAILURE
        }
    };
    if let Some(appender) = appender {
        appender.flush(Duration::from_secs(1));
    }
    code
}

/// The exit code of a command at a terminal that could not do what it was asked to.
const NOT_DONE: u8 = 2;

fn run(flags: Flags, log: Option<Appender>) -> Result<ExitCode, Error> {
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
            Command::Operator(flags) => operator::run(flags).await?,
            Command::Proxy(flags) => proxy::run(flags, log).await?,
            Command::Store(flags) => store::run(flags).await?,
            Command::Run(flags) => local::run::run(flags).await?,
            Command::Test(flags) => {
                let good = local::test::run(flags).await?;
                return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            // Ended before: a command of the user's is no process of the installation, and writes no log.
            Command::Cli(_) => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}
