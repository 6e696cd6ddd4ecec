//! Clients that are slow on purpose, or by misfortune, must not hold a connection, or a place in a pod, for ever.
//!
//! Three clocks, each running only while something waits for the client: a head that has begun must end soon; a write
//! that waits must get on at some least pace. A long stream with nothing to send, and a tunnel in which nobody speaks,
//! wait for nothing and are left alone here. (The pace of a request's body is kept in [`crate::body`].)

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep};

use crate::crowd::Phase;

/// What is asked of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// From the first byte of a head to its last.
    pub(crate) head: Duration,
    /// A write that waits must have moved `least` bytes in this time.
    pub(crate) window: Duration,
    pub(crate) least: u64,
}

/// An IO object whose peer keeps a pace.
#[derive(Debug)]
pub(crate) struct Stall<T> {
    io: T,
    pace: Pace,
    phase: Arc<Phase>,
    /// Heads that had come when the last bytes were read.
    heads: u32,
    /// Bytes have come that no whole head has followed.
    partial: bool,
    head: Option<Pin<Box<Sleep>>>,
    blocked: Option<Pin<Box<Sleep>>>,
    /// Bytes written in this window.
    moved: u64,
}

impl<T> Stall<T> {
    pub(crate) fn new(io: T, pace: Pace, phase: Arc<Phase>) -> Self {
        Self { io, pace, phase, heads: 0, partial: false, head: None, blocked: None, moved: 0 }
    }

    fn watch_write(
        &mut self,
        polled: Poll<std::io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<usize>> {
        if let Poll::Ready(done) = &polled {
            if self.blocked.is_some() {
                self.moved += done.as_ref().map_or(0, |bytes| *bytes as u64);
            }
            return polled;
        }
        self.wait(cx).map(Err)
    }

    /// A write waits: ready, with an error, when it has for too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Error> {
        let Pace { window, least, .. } = self.pace;
        let blocked = self.blocked.get_or_insert_with(|| Box::pin(tokio::time::sleep(window)));
        while blocked.as_mut().poll(cx).is_ready() {
            if std::mem::take(&mut self.moved) < least {
                return Poll::Ready(std::io::ErrorKind::TimedOut.into());
            }
            blocked.as_mut().reset(Instant::now() + window);
        }
        Poll::Pending
    }

    /// Everything has been written.
    fn flushed(&mut self) {
        if self.blocked.is_some() {
            self.blocked = None;
            self.moved = 0;
        }
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
        let bound = self.pace.head;
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
            self.flushed();
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
