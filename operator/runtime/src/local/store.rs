//! The packages of this process, in memory, behind the calls that agents make to a store.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use muon_crds::words::header;
use muon_order::{Order, Verifier};
use tokio::net::TcpListener;

use crate::serving::{self, Bounds};

/// Of agents, at once.
const CONNECTIONS: usize = 64;

/// Holds archives by digest. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct LocalStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    blobs: Mutex<HashMap<String, Bytes>>,
    verifier: Verifier,
}

impl LocalStore {
    /// Serves on loopback; the base URL is what agents are told.
    pub(crate) async fn serve(verifier: Verifier) -> std::io::Result<(Self, String)> {
        let store = Self(Arc::new(Inner { blobs: Mutex::default(), verifier }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/v1/blobs/{digest}", get(blob)).with_state(store.clone());
        // It ends with the process.
        tokio::spawn(serving::serve(listener, router, Bounds::of(CONNECTIONS), std::future::pending()));
        Ok((store, url))
    }

    /// Keeps exactly these archives.
    pub(crate) fn replace(&self, archives: impl IntoIterator<Item = (String, Bytes)>) {
        *self.0.blobs.lock().unwrap_or_else(PoisonError::into_inner) = archives.into_iter().collect();
    }
}

/// An archive for whoever has an order to load it: other users of this machine have none.
async fn blob(
    State(store): State<LocalStore>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Bytes, StatusCode> {
    let token = headers.get(header::ORDER).and_then(|token| token.to_str().ok()).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match store.0.verifier.check(token, now) {
        Ok(Order::Load(load)) if load.digest == digest => {}
        _ => return Err(StatusCode::FORBIDDEN),
    }
    let blobs = store.0.blobs.lock().unwrap_or_else(PoisonError::into_inner);
    blobs.get(&digest).cloned().ok_or(StatusCode::NOT_FOUND)
}
