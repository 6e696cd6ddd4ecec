//! The binary `muon-agent`: settings from the environment, JSON logs, one thread.

use std::net::Ipv4Addr;
use std::process::ExitCode;

use muon_agent::Settings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    let level = std::env::var("MUON_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(level).init();
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the agent cannot start");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    tokio::runtime::Builder::new_current_thread().max_blocking_threads(4).enable_all().build()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, settings.port)).await?;
        tracing::info!(port = settings.port, pod = settings.pod_uid, runtime = %settings.runtime, "listening");
        muon_agent::run(listener, settings, stop).await;
        Ok(())
    })
}
