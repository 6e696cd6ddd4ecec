//! The body of a request on its way to a pod: bounded in size, and at a pace while nothing else is waited for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use muon_crds::wire::Executed;

use crate::answer::Refusal;
use crate::config::Config;
use crate::crowd::Phase;
use crate::pace::Pacer;

/// Why a body cannot be sent on.
#[derive(thiserror::Error, Debug)]
pub(crate) enum UploadError {
    /// The client's connection failed.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    /// More came than may.
    #[error("the request's body is too large")]
    TooLarge,
    /// The client sends too slowly.
    #[error("the request's body comes too slowly")]
    TooSlow,
}

const FINE: u8 = 0;
const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;

/// How far a body is: shared by whoever sends it and whoever waits for the answer.
#[derive(Debug)]
pub(crate) struct Upload {
    done: AtomicBool,
    answered: AtomicBool,
    fault: AtomicU8,
    bytes: AtomicU64,
    phase: Arc<Phase>,
}

impl Upload {
    pub(crate) fn new(phase: Arc<Phase>) -> Self {
        Self {
            done: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            fault: AtomicU8::new(FINE),
            bytes: AtomicU64::new(0),
            phase,
        }
    }

    /// Bytes that came of it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// All of it is through.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// The answer has begun: from now on the two talk at a pace of their own.
    pub(crate) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// What the client did wrong.
    pub(crate) fn fault(&self, most: u64) -> Option<Refusal> {
        let refusal = match self.fault.load(Ordering::Relaxed) {
            TOO_LARGE => too_large(most),
            TOO_SLOW => Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "BodyTooSlow",
                "the request's body came too slowly: it was cut off",
            ),
            _ => return None,
        };
        Some(refusal.executed(Executed::Unknown))
    }
}

/// The answer to a body beyond the bound.
pub(crate) fn too_large(most: u64) -> Refusal {
    let message = format!("a request's body may have {most} bytes (--max-body-bytes of the proxy)");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", message)
}

/// A client's body.
#[derive(Debug)]
pub(crate) struct ClientBody {
    incoming: Incoming,
    upload: Arc<Upload>,
    /// Bytes that may still come.
    left: u64,
    pacer: Pacer,
}

impl ClientBody {
    pub(crate) fn new(incoming: Incoming, upload: Arc<Upload>, config: &Config) -> Self {
        Self { incoming, upload, left: config.max_body_bytes, pacer: Pacer::new(config.pace()) }
    }

    fn fail(&self, fault: u8, error: UploadError) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        self.upload.fault.store(fault, Ordering::Relaxed);
        Poll::Ready(Some(Err(error)))
    }

    /// The client is waited for.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        while self.pacer.poll_too_slow(cx).is_ready() {
            if !self.upload.answered.load(Ordering::Relaxed) {
                return self.fail(TOO_SLOW, UploadError::TooSlow);
            }
        }
        Poll::Pending
    }
}

impl http_body::Body for ClientBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => return self.wait(cx),
            Poll::Ready(frame) => frame,
        };
        if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(|frame| frame.data_ref())) {
            let length = data.map_or(0, |data| data.len() as u64);
            let Some(left) = self.left.checked_sub(length) else {
                return self.fail(TOO_LARGE, UploadError::TooLarge);
            };
            self.left = left;
            self.upload.bytes.fetch_add(length, Ordering::Relaxed);
            self.pacer.moved(length);
        }
        if frame.is_none() || self.incoming.is_end_stream() {
            self.upload.done.store(true, Ordering::Relaxed);
            self.upload.phase.body_over();
            self.upload.phase.read();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(UploadError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        self.upload.phase.body_over();
    }
}
