//! One request into one pod: sent at most once.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::answer::Refusal;
use crate::body::RequestBody;
use crate::endpoint::{self, Link};
use crate::served::Lease;
use crate::upload::Upload;

/// What became of it.
pub(crate) enum Sent {
    /// The pod answers; the link is to be driven while the body is read.
    Answer(Response<Incoming>, Option<Box<Link>>),
    /// The pod could not be reached and not a byte was written: the request may go elsewhere.
    Not(Box<Request<RequestBody>>, std::io::Error),
    /// The connection broke after the request had, perhaps in part, been written.
    Broken(hyper::Error),
    /// The head of the answer did not come in time.
    Late,
}

/// Whether all of a request's body has gone through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Through(pub(crate) Option<Arc<Upload>>);

impl Through {
    pub(crate) fn is_done(&self) -> bool {
        self.0.as_ref().is_none_or(|upload| upload.is_done())
    }

    /// What the client did wrong with its body.
    pub(crate) fn fault(&self, most: u64) -> Option<Refusal> {
        self.0.as_ref().and_then(|upload| upload.fault(most))
    }

    fn answered(&self) {
        if let Some(upload) = &self.0 {
            upload.answered();
        }
    }
}

/// Sends it, in this task: the connection is driven here until the head of the answer is there.
pub(crate) async fn send(
    lease: &Lease,
    mut request: Request<RequestBody>,
    through: &Through,
    deadline: Instant,
) -> Sent {
    let config = lease.config();
    loop {
        let mut link = match endpoint::connect(lease.endpoint(), config.pool_idle, config.connect_timeout).await {
            Ok(link) => link,
            Err(error) => return Sent::Not(Box::new(request), error),
        };
        let sending = link.sender.try_send_request(request);
        tokio::pin!(sending);
        let answered = std::future::poll_fn(|cx| {
            link.drive(cx);
            sending.as_mut().poll(cx)
        });
        let response = match tokio::time::timeout_at(deadline, answered).await {
            Err(_) => return Sent::Late,
            Ok(Ok(response)) => response,
            Ok(Err(mut failed)) => match failed.take_message() {
                // The connection died as it lay ready. A new one, or the next, may be alive.
                Some(unsent) => {
                    request = unsent;
                    continue;
                }
                None => return Sent::Broken(failed.into_error()),
            },
        };
        through.answered();
        if through.is_done() {
            return Sent::Answer(response, Some(link));
        }
        // The answer began before the request ended. Driven by whoever reads the answer, a client that
        // writes first and reads later would hold up its own request: so this connection gets a task.
        let Link { sender, connection, .. } = *link;
        drop(sender);
        lease.served().shared.tasks.spawn(async move { connection.await.ok() });
        return Sent::Answer(response, None);
    }
}

/// Sends a request that asks for another protocol, on a connection that can change to it.
pub(crate) async fn send_upgrade(lease: &Lease, request: Request<RequestBody>, deadline: Instant) -> Sent {
    let config = lease.config();
    let link = match endpoint::connect(lease.endpoint(), config.pool_idle, config.connect_timeout).await {
        Ok(link) => link,
        Err(error) => return Sent::Not(Box::new(request), error),
    };
    let Link { mut sender, connection, .. } = *link;
    lease.served().shared.tasks.spawn(async move { connection.with_upgrades().await.ok() });
    let sending = sender.try_send_request(request);
    match tokio::time::timeout_at(deadline, sending).await {
        Err(_) => Sent::Late,
        Ok(Ok(response)) => Sent::Answer(response, None),
        Ok(Err(mut failed)) => match failed.take_message() {
            Some(unsent) => Sent::Not(Box::new(unsent), std::io::ErrorKind::ConnectionAborted.into()),
            None => Sent::Broken(failed.into_error()),
        },
    }
}
