//! Which of several replicas drives: who holds the Lease. That saves work from being done twice; correctness never
//! rests on it.
//!
//! A replica that ends gives the Lease back. The library's manager looks at another's Lease only when that would have
//! run out; here the Lease is watched as well, so that a replica takes over at once from one that is rolled.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two tries to look at the Lease anew.
const AGAIN: Duration = Duration::from_secs(1);

/// Why the Lease is not held, or was not given back.
#[derive(thiserror::Error, Debug)]
pub enum LeadershipError {
    /// The API server, or the way to it.
    #[error("the lease: {0}")]
    Lease(#[from] LeaseManagerError),
    /// The task that held it is gone.
    #[error("the lease's task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// One replica that would lead.
#[derive(Clone)]
pub struct Candidate {
    /// Of the replica's account.
    pub client: Client,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// The replica's own name.
    pub identity: String,
    /// Seconds after which another replica may take over from one that no longer renews the Lease.
    pub seconds: u64,
}

impl Candidate {
    /// Says from now on whether this replica leads. When all receivers are gone, the Lease is given back, and the task
    /// ends.
    pub async fn campaign(
        self,
    ) -> Result<(watch::Receiver<bool>, JoinHandle<Result<(), LeadershipError>>), LeadershipError> {
        let manager = self.manager().await?;
        let (sender, leads) = watch::channel(false);
        Ok((leads, tokio::spawn(async move { self.hold(manager, sender).await })))
    }

    async fn manager(&self) -> Result<LeaseManager, LeaseManagerError> {
        LeaseManagerBuilder::new(self.client.clone(), &self.name)
            .with_namespace(&self.namespace)
            .with_identity(&self.identity)
            .with_duration(self.seconds)
            .with_grace(self.seconds / 3)
            .build()
            .await
    }

    async fn hold(&self, mut manager: LeaseManager, sender: watch::Sender<bool>) -> Result<(), LeadershipError> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut seen = pin!(watcher::watch_object(leases, &self.name).default_backoff());
        let mut others = false;
        loop {
            let (mut held, task) = manager.watch().await;
            let is_over = loop {
                tokio::select! {
                    () = sender.closed() => break true,
                    changed = held.changed() => match changed {
                        Ok(()) => drop(sender.send_replace(*held.borrow_and_update())),
                        // It says itself why it has ended.
                        Err(_) => break true,
                    },
                    lease = seen.next() => {
                        let Some(Ok(lease)) = lease else { continue };
                        let holder = lease.and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity);
                        match holder {
                            None if std::mem::take(&mut others) => break false,
                            holder => others = holder.is_some_and(|holder| holder != self.identity),
                        }
                    }
                }
            };
            drop(held);
            task.await??;
            if is_over {
                return Ok(());
            }
            manager = loop {
                match self.manager().await {
                    Ok(manager) => break manager,
                    Err(error) => tracing::warn!(%error, "the lease cannot be looked at"),
                }
                tokio::time::sleep(AGAIN).await;
            };
        }
    }
}
