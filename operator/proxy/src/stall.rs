//! Clients that are slow on purpose, or by misfortune, must not hold a connection, or a place in a pod, for ever.
//!
//! Three clocks, each running only while something waits for the client: a head that has begun must end soon; a write
//! that waits must get on at some least pace. A long stream with nothing to send, and a tunnel in which nobody speaks,
//! wait for nothing and are left alone here. (The pace of a request's body is kept in [`crate::upload`].)

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::Sleep;

use crate::crowd::Phase;
use crate::pace::{Pace, Pacer};

/// An IO object whose peer keeps a pace.
#[derive(Debug)]
pub(crate) struct Stall<T> {
    io: T,
    /// From the first byte of a head to its last.
    head_bound: Duration,
    phase: Arc<Phase>,
    /// Heads that had come when the last bytes were read.
    heads: u32,
    /// Bytes have come that no whole head has followed.
    partial: bool,
    head: Option<Pin<Box<Sleep>>>,
    /// Of writes: its clock runs while one waits.
    writes: Pacer,
}

impl<T> Stall<T> {
    /// `head_bound` is the time from the first byte of a head to its last.
    pub(crate) fn new(io: T, head_bound: Duration, pace: Pace, phase: Arc<Phase>) -> Self {
        Self { io, head_bound, phase, heads: 0, partial: false, head: None, writes: Pacer::new(pace) }
    }

    fn watch_write(
        &mut self,
        polled: Poll<std::io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<usize>> {
        if let Poll::Ready(done) = &polled {
            if self.writes.is_running() {
                self.writes.moved(done.as_ref().map_or(0, |bytes| *bytes as u64));
            }
            return polled;
        }
        self.wait(cx).map(Err)
    }

    /// A write waits: ready, with an error, when it has for too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Error> {
        self.writes.poll_too_slow(cx).map(|()| std::io::ErrorKind::TimedOut.into())
    }
}

impl<T: Read + Unpin> Read for Stall<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        let heads = self.phase.heads();
        if heads != self.heads {
            (self.heads, self.partial, self.head) = (heads, false, None);
        }
        if polled.is_ready() {
            self.partial |= !self.phase.is_open();
            return polled;
        }
        if !self.partial {
            return Poll::Pending;
        }
        let bound = self.head_bound;
        let head = self.head.get_or_insert_with(|| Box::pin(tokio::time::sleep(bound)));
        head.as_mut().poll(cx).map(|()| Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl<T: Write + Unpin> Write for Stall<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch_write(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        if polled.is_ready() {
            self.writes.stop();
            return polled;
        }
        self.wait(cx).map(Err)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Pending => self.wait(cx).map(Err),
            ended => ended,
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
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, buffers);
        self.watch_write(polled, cx)
    }
}
