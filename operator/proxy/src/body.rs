//! Bodies, streamed both ways without a copy.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::access::Record;
use crate::endpoint::Link;
use crate::served::Lease;
use crate::upload::{ClientBody, UploadError};

/// Why a body ended before its end.
#[derive(thiserror::Error, Debug)]
pub(crate) enum BodyError {
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    /// Nothing came for too long.
    #[error("the function sent nothing for {0:?}")]
    Idle(Duration),
}

/// The body of a request on its way to a pod.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// None, or an empty one.
    Empty,
    /// The client's.
    Client(Box<ClientBody>),
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Client(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(body) => body.size_hint(),
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// One of ours.
    Full(Option<Bytes>),
    /// A function's.
    Function(Box<Streaming>),
}

/// A function's body on its way to the client. When it ends, or is dropped, the pod has one request less.
#[derive(Debug)]
pub(crate) struct Streaming {
    incoming: Incoming,
    /// Driven here as long as the body runs; none when a task of its own drives the connection.
    link: Option<Box<Link>>,
    lease: Option<Lease>,
    record: Record,
    idle: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    keep: usize,
}

impl Body {
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Some(bytes.into()))
    }

    pub(crate) fn empty() -> Self {
        Self::Full(None)
    }

    pub(crate) fn function(incoming: Incoming, link: Option<Box<Link>>, lease: Lease, record: Record) -> Self {
        let config = lease.config();
        let (idle, keep) = (config.body_idle, config.pool_size);
        let mut body = Streaming { incoming, link, lease: Some(lease), record, idle, silence: None, keep };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        Self::Function(Box::new(body))
    }
}

impl Streaming {
    /// All of the body is here: the connection may carry the next request.
    fn finish(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        self.record.complete();
        if let Some(link) = self.link.take().filter(|link| link.is_open()) {
            lease.endpoint().keep(link, std::time::Instant::now(), self.keep);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if let (Poll::Pending, Some(link)) = (&polled, &mut self.link) {
            // Asking made room; now the connection may read on, and what it read is here at once.
            link.drive(cx);
            polled = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        match polled {
            Poll::Ready(frame) => {
                match &frame {
                    Some(Ok(frame)) => self.record.sent(frame.data_ref().map_or(0, Bytes::len)),
                    Some(Err(_)) => self.record.broken_off("AnswerBrokeOff"),
                    None => {}
                }
                if frame.is_none() || self.incoming.is_end_stream() {
                    self.finish();
                } else if let Some(silence) = &mut self.silence {
                    silence.as_mut().reset(Instant::now() + self.idle);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Poll::Pending => {
                let idle = self.idle;
                let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
                let silent = silence.as_mut().poll(cx);
                if silent.is_ready() {
                    self.record.broken_off("AnswerSilent");
                }
                silent.map(|()| Some(Err(BodyError::Idle(idle))))
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Function(streaming) => streaming.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Function(streaming) => streaming.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Function(streaming) => streaming.incoming.size_hint(),
        }
    }
}
