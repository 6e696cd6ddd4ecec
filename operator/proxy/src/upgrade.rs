//! Another protocol on both connections: from then on bytes are carried, and nothing is looked at.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::access::Record;
use crate::body::Body;
use crate::headers;
use crate::served::Lease;

/// Passes the pod's `101` on, and joins the two connections once the client has it: no byte of the client's goes before.
/// The tunnel is a request in flight until it ends.
pub(crate) fn join(
    client: OnUpgrade,
    mut response: Response<Incoming>,
    lease: Lease,
    mut record: Record,
) -> Response<Body> {
    let pod = hyper::upgrade::on(&mut response);
    let idle = lease.config().body_idle;
    let shared = Arc::clone(&lease.served().shared);
    shared.tasks.spawn(async move {
        match futures::future::try_join(client, pod).await {
            Ok((client, pod)) => {
                let (into, out) = (AtomicU64::new(0), AtomicU64::new(0));
                let client = Watched { io: TokioIo::new(client), moved: &into };
                let pod = Watched { io: TokioIo::new(pod), moved: &out };
                let ended = carry(client, pod, idle).await;
                record.bytes = (into.into_inner(), out.into_inner());
                if ended.is_ok() {
                    record.complete();
                }
            }
            Err(error) => tracing::debug!(%error, "a change of protocol did not come about"),
        }
        drop((lease, record));
    });
    let (mut parts, _) = response.into_parts();
    let protocol = parts.headers.get(UPGRADE).cloned();
    headers::cleanse_answer(&mut parts.headers);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(UPGRADE, protocol);
    }
    Response::from_parts(parts, Body::empty())
}

/// Carries bytes both ways until both sides are done, or neither says anything for too long.
async fn carry<C, P>(mut client: Watched<'_, C>, mut pod: Watched<'_, P>, idle: Duration) -> std::io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    let (into, out) = (client.moved, pod.moved);
    let moved = || (into.load(Ordering::Relaxed), out.load(Ordering::Relaxed));
    let copying = tokio::io::copy_bidirectional(&mut client, &mut pod);
    tokio::pin!(copying);
    let mut before = moved();
    loop {
        match tokio::time::timeout(idle, &mut copying).await {
            Ok(ended) => return ended.map(|_| ()),
            Err(_) if before != moved() => before = moved(),
            Err(_) => return Err(std::io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Counts what is read.
struct Watched<'a, T> {
    io: T,
    moved: &'a AtomicU64,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<'_, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.moved.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
