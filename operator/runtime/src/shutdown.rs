//! The signal to stop, as something every task can wait for.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Resolves (for every clone) once SIGTERM or SIGINT has come.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Starts to listen for the signals.
    pub(crate) fn on_signal() -> Result<Self, std::io::Error> {
        let (sender, receiver) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: shutting down"),
                _ = interrupt.recv() => tracing::info!("SIGINT: shutting down"),
            }
            sender.send_replace(true);
            // Kept alive so that receivers see `true`, not a closed channel.
            sender.closed().await;
        });
        Ok(Self(receiver))
    }

    /// Waits for the signal.
    pub(crate) async fn requested(mut self) {
        // An error means that the sender is gone: that is a shutdown as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}
