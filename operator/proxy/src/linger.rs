//! A connection that is closed while the client still sends is reset by the kernel, and the reset may overtake the
//! answer: a client, or an Ingress controller before it, then sees a broken connection instead of, say, a 413. So after
//! an answer that came before the end of its request's body, the rest is read and thrown away, for a bounded time.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::Sleep;

use crate::crowd::Phase;

/// How long the rest of a body is taken from a client that has its answer.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that are thrown away at once.
const PIECE: usize = 16 * 1024;

/// An IO object that is closed only when its peer has nothing more to say, if its phase tells of an unread body.
#[derive(Debug)]
pub(crate) struct Linger<T> {
    io: T,
    phase: Arc<Phase>,
    bound: Option<Pin<Box<Sleep>>>,
}

impl<T> Linger<T> {
    pub(crate) fn new(io: T, phase: Arc<Phase>) -> Self {
        Self { io, phase, bound: None }
    }
}

impl<T: Read + Unpin> Linger<T> {
    /// Ready when the peer is done, or was waited for long enough.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let bound = self.bound.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        let mut memory = [MaybeUninit::uninit(); PIECE];
        while bound.as_mut().poll(cx).is_pending() {
            let mut piece = ReadBuf::uninit(&mut memory);
            match ready!(Pin::new(&mut self.io).poll_read(cx, piece.unfilled())) {
                Ok(()) if !piece.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl<T: Read + Unpin> Read for Linger<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: Read + Write + Unpin> Write for Linger<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.bound.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        }
        match self.phase.is_unread() {
            true => self.poll_silence(cx).map(Ok),
            false => Poll::Ready(Ok(())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
    }
}
