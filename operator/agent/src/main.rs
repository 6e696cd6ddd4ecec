//! The binary `muon-agent`: settings from the environment, JSON logs, one thread.

use std::net::Ipv4Addr;
use std::process::ExitCode;

use muon_agent::{Settings, build};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    let level = std::env::var("MUON_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(level).init();
    match serve() {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(%error, "the agent cannot start");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let get = |name: &str| std::env::var(name).ok();
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(4).enable_all().build()?;
    if let Some(step) = build::Settings::read(get)? {
        return Ok(runtime.block_on(build::run(&step)).into());
    }
    let settings = Settings::read(get)?;
    runtime.block_on(async {
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
        Ok(ExitCode::SUCCESS)
    })
}
